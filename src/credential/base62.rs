//! Random text in base62, for secrets and ids.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The operating system's random number generator did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system's random number generator does not answer: {0}")]
pub struct GeneratorUnavailable(getrandom::Error);

/// Appends `len` characters, each drawn uniformly from the alphabet by the operating system's generator.
pub(super) fn push_random(text: &mut String, len: usize) -> Result<(), GeneratorUnavailable> {
    let end = text.len() + len;
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < end {
        getrandom::fill(&mut *bytes).map_err(GeneratorUnavailable)?;
        // 248 is 4 · 62: bytes from there on would favour the first characters of the alphabet.
        let unbiased = bytes.iter().filter(|byte| **byte < 248);
        for byte in unbiased.take(end - text.len()) {
            text.push(digit(u32::from(*byte)).into());
        }
    }
    Ok(())
}

/// Returns the last base62 digit of `number`.
pub(super) fn digit(number: u32) -> u8 {
    let digit = ALPHABET.get((number % 62) as usize);
    digit.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    // C7. The chi-square bound is exceeded once in a million runs.
    #[test]
    fn random_characters_are_uniform() {
        const LEN: u32 = 80_000;
        let mut text = String::new();
        push_random(&mut text, LEN as usize).unwrap();
        assert_eq!(text.len(), LEN as usize);

        let expected = f64::from(LEN) / 62.0;
        let deviation = |character: &u8| {
            let count = text.bytes().filter(|byte| byte == character).count();
            (count as f64 - expected).powi(2) / expected
        };
        let chi_square: f64 = ALPHABET.iter().map(deviation).sum();
        assert!(chi_square < 132.0, "{chi_square}");
    }
}
