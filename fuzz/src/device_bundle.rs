//! What a device is told of its server: no bytes and no text bring a reader down, every bundle has one encoding and every
//! sealed one one text, and what is sealed comes back, to its device and its code only (spec/keys.md, section 4).

use aldaba_spa::{Bundle, Host, OneTimeCode, SealedBundle, SecretKey};

/// Checks one input, as the bytes of a bundle, as those of a sealed one, and as text.
///
/// # Panics
/// If a reader does, or takes a second spelling.
pub fn run(data: &[u8]) {
    if let Ok(bundle) = Bundle::decode(data) {
        assert_eq!(*bundle.encode().expect("it was one"), data);
        comes_back(&bundle, data);
    }
    if let Ok(sealed) = SealedBundle::from_bytes(data) {
        assert!(sealed.open(&SecretKey::new(&[1; 32]), None).is_err(), "nobody sealed it");
        assert_eq!(SealedBundle::from_text(&sealed.to_text()), Ok(sealed));
    }
    let Ok(text) = str::from_utf8(data) else { return };
    match SealedBundle::from_text(text) {
        Ok(sealed) => {
            let plain: String = text.split_whitespace().collect();
            assert_eq!(sealed.to_text(), plain);
            drop(sealed.open(&SecretKey::new(&[1; 32]), None));
        }
        Err(error) => assert!(error.to_string().len() < 120, "{error}"),
    }
    if let Ok(host) = text.parse::<Host>() {
        assert_eq!(host.to_string().parse(), Ok(host));
    }
}

fn comes_back(bundle: &Bundle, bytes: &[u8]) {
    let (server, device) = (SecretKey::new(&[2; 32]), SecretKey::new(&[1; 32]));
    let code = OneTimeCode::new(&[3; 16]).expect("no zeros");
    for code in [None, Some(&code)] {
        let sealed = bundle.seal(&server, &device.public(), code, &[4; 32]).expect("sealed");
        let sealed = SealedBundle::from_text(&sealed.to_text()).expect("its text");
        let opened = sealed.open(&device, code).expect("opened");
        assert_eq!((opened.sender, &**opened.bundle.encode().expect("it was one")), (server.public(), bytes));
        assert!(sealed.open(&server, code).is_err(), "by another device");
        let other = if code.is_some() { None } else { Some(OneTimeCode::new(&[5; 16]).expect("no zeros")) };
        assert!(sealed.open(&device, other.as_ref()).is_err(), "with another code");
        // It is as new as itself, and no newer.
        assert!(opened.may_replace(bundle).is_err());
    }
}
