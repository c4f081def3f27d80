//! Random bytes, in one place: the system's.

use zeroize::Zeroizing;

/// The system gives none.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers: {0}")]
pub(crate) struct NoRandom(#[from] getrandom::Error);

/// 32 bytes.
pub(crate) fn bytes() -> Result<Zeroizing<[u8; 32]>, NoRandom> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(bytes)
}

/// A number from 0 to `below - 1`, each as likely as the others.
pub(crate) fn below(below: u32) -> Result<u32, NoRandom> {
    let rest = (u32::MAX % below + 1) % below;
    loop {
        let number = getrandom::u32()?;
        // The last, shorter run of remainders would make the first ones likelier.
        if number <= u32::MAX - rest {
            return Ok(number % below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes() {
        let mut seen = [0_u32; 57];
        for _ in 0..57 * 200 {
            seen[below(57).unwrap() as usize] += 1;
        }
        // Each 200 times on average, with a deviation of 14.
        assert!(seen.iter().all(|count| (90..310).contains(count)), "{seen:?}");
    }
}
