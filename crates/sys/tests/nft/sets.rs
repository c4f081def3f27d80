//! Sets of the administrator's own: which can hold an address for a time, and that no other address gets in with it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_sys::nft::{Family, Nft, NftError, SetName, UnfitSet};

use super::{in_namespace, nft, spec};

#[test]
fn a_set_that_is_not_there_or_of_another_kind_is_named() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let named = |set: &str| SetName { family: Family::Ip, table: "filter".into(), set: set.into() };
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let second = Duration::from_secs(1);
        assert!(matches!(firewall.add_element(&named("none"), address, second), Err(NftError::Missing)));
        nft("add table ip filter");
        let unfit = [
            ("plain", "set", "type ipv4_addr;", UnfitSet::NoTimeout),
            ("ranges", "set", "type ipv4_addr; flags interval;", UnfitSet::NoTimeout),
            ("fixed", "set", "type ipv4_addr; flags constant;", UnfitSet::Constant),
            ("six", "set", "type ipv6_addr; flags timeout;", UnfitSet::OtherFamily("IPv6")),
            ("pairs", "set", "type ipv4_addr . inet_service; flags timeout;", UnfitSet::Concatenation),
            ("twins", "set", "type ipv4_addr . ipv4_addr; flags timeout,interval;", UnfitSet::Concatenation),
            // As long as an address.
            ("marks", "set", "type mark; flags timeout;", UnfitSet::NoAddresses),
            ("leads", "map", "type ipv4_addr : mark; flags timeout;", UnfitSet::Map),
        ];
        for (set, kind, what, why) in unfit {
            assert!(matches!(firewall.check_set(&named(set), false), Err(NftError::Missing)), "{set}");
            nft(&format!("add {kind} ip filter {set} {{ {what} }}"));
            let errors = [
                firewall.check_set(&named(set), false).unwrap_err(),
                firewall.add_element(&named(set), address, second).unwrap_err(),
                firewall.delete_element(&named(set), address).unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(error, NftError::UnfitSet(found) if found == why), "{set}: {error}");
            }
        }
        assert!(!nft("list ruleset").contains("192.0.2."), "nothing was put in anywhere");
        nft("add set ip filter good { type ipv4_addr; flags timeout; }");
        firewall.check_set(&named("good"), false).unwrap();
        firewall.add_element(&named("good"), address, second).unwrap();
        assert!(nft("list ruleset").contains("192.0.2.7 timeout 1s"));
    });
}

/// A beginning without its end would let in every address above it.
#[test]
fn a_set_of_ranges_gets_one_address_and_no_more() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        nft("add table inet filter");
        for (kind, address, neighbour) in [
            ("ipv4_addr", "192.0.2.7", "192.0.2.8"),
            ("ipv4_addr", "255.255.255.255", "255.255.255.254"),
            ("ipv6_addr", "2001:db8::7", "2001:db8::8"),
            ("ipv6_addr", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"),
        ] {
            let set = SetName { family: Family::Inet, table: "filter".into(), set: "ranges".into() };
            nft(&format!("add set inet filter ranges {{ type {kind}; flags timeout,interval; }}"));
            let listed = || nft("list set inet filter ranges");
            let (address, neighbour) = (address.parse::<IpAddr>().unwrap(), neighbour.parse().unwrap());
            firewall.add_element(&set, address, Duration::from_secs(600)).unwrap();
            firewall.add_element(&set, address, Duration::from_secs(60)).unwrap();
            let elements = |text: &str| text.matches("expires").count();
            assert!(listed().contains(&format!("{{ {address} timeout 1m expires")), "{}", listed());
            assert_eq!(firewall.members(&set).unwrap().into_iter().collect::<Vec<_>>(), [address]);
            // Side by side.
            firewall.add_element(&set, neighbour, Duration::from_secs(60)).unwrap();
            assert_eq!(elements(&listed()), 2, "{}", listed());
            assert_eq!(firewall.members(&set).unwrap(), HashSet::from([address, neighbour]));
            firewall.delete_element(&set, address).unwrap();
            firewall.delete_element(&set, address).unwrap();
            assert!(!listed().contains(&format!("{address} ")) && elements(&listed()) == 1, "{}", listed());
            firewall.delete_element(&set, neighbour).unwrap();
            assert_eq!(elements(&listed()), 0, "{}", listed());
            firewall.add_element(&set, address, Duration::from_millis(100)).unwrap();
            aldaba_sys::clock::rest(Duration::from_millis(300));
            // The kernel's own list may still have it; it lets nobody in, and it is no hindrance.
            firewall.add_element(&set, address, Duration::from_secs(60)).unwrap();
            assert_eq!(elements(&listed()), 1, "{}", listed());
            nft("delete set inet filter ranges");
        }
    });
}

#[test]
fn what_others_let_in_without_an_end_is_left_alone() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        nft("add table ip filter");
        nft("add set ip filter single { type ipv4_addr; flags timeout; elements = { 192.0.2.7 } }");
        nft(
            "add set ip filter ranges { type ipv4_addr; flags timeout,interval; elements = { 192.0.2.0/24 } }",
        );
        let before = nft("list ruleset");
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for set in ["single", "ranges"] {
            let set = SetName { family: Family::Ip, table: "filter".into(), set: set.into() };
            let error = firewall.add_element(&set, address, Duration::from_secs(1)).unwrap_err();
            assert!(matches!(error, NftError::StandsThere), "{error}");
            firewall.delete_element(&set, address).unwrap();
        }
        assert_eq!(nft("list ruleset"), before);
        nft("flush set ip filter ranges");
        nft("add element ip filter ranges { 192.0.2.0/24 timeout 1h }");
        let ranges = SetName { family: Family::Ip, table: "filter".into(), set: "ranges".into() };
        let error = firewall.add_element(&ranges, address, Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, NftError::Overlaps), "{error}");
    });
}

/// What a look has shown is good for so long as nobody changes anything: not a moment longer.
#[test]
fn what_others_make_of_a_set_between_two_openings_is_seen() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        nft("add table ip filter");
        nft("add set ip filter door { type ipv4_addr; flags timeout; }");
        let set = SetName { family: Family::Ip, table: "filter".into(), set: "door".into() };
        let minute = Duration::from_secs(60);
        let mut next = 0;
        let mut open = |firewall: &mut Nft| {
            next += 1;
            firewall.add_new_element(&set, [192, 0, 2, next].into(), minute)
        };
        let become_another = |what: &str| {
            nft("delete set ip filter door");
            nft(&format!("add set ip filter door {{ {what} }}"));
        };
        open(&mut firewall).unwrap();
        open(&mut firewall).unwrap();
        become_another("type ipv4_addr; flags timeout,interval;");
        open(&mut firewall).unwrap();
        let shown = nft("list set ip filter door");
        assert!(shown.contains("{ 192.0.2.3 timeout 1m expires"), "an address and no range: {shown}");
        become_another("type mark; flags timeout;");
        assert!(matches!(open(&mut firewall), Err(NftError::UnfitSet(UnfitSet::NoAddresses))));
        become_another("type ipv4_addr; flags timeout;");
        open(&mut firewall).unwrap();
        nft("add element ip filter door { 192.0.2.6 }");
        assert!(matches!(open(&mut firewall), Err(NftError::StandsThere)));
        let shown = nft("list set ip filter door");
        assert!(shown.contains("192.0.2.6 }") && !shown.contains("192.0.2.6 timeout"), "{shown}");
        nft("delete set ip filter door");
        assert!(matches!(open(&mut firewall), Err(NftError::Missing)));
    });
}

#[test]
fn a_set_is_known_by_its_number_and_so_are_its_members() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        let address: IpAddr = "2001:db8::7".parse().unwrap();
        let set = spec().set_of("ssh", address).unwrap();
        let id =
            |firewall: &mut Nft| firewall.set_ids(std::slice::from_ref(&set)).unwrap().get(&set).copied();
        let first = id(&mut firewall).unwrap();
        firewall.add_element(&set, address, Duration::from_secs(60)).unwrap();
        assert_eq!(firewall.members(&set).unwrap().into_iter().collect::<Vec<_>>(), [address]);
        nft(&format!("flush set {set}"));
        assert!(firewall.members(&set).unwrap().is_empty());
        assert_eq!(id(&mut firewall), Some(first), "the set is still the same");
        firewall.rebuild_own_table(&spec()).unwrap();
        assert!(id(&mut firewall).unwrap() != first);
        firewall.remove_own_table("aldaba").unwrap();
        assert_eq!((id(&mut firewall), firewall.members(&set).unwrap().len()), (None, 0));
    });
}
