//! Base 62 of fixed width: digits, then capitals, then small letters.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters that 32 bytes need: 62⁴³ is the first power above 2²⁵⁶.
pub(crate) const WIDTH_OF_32_BYTES: usize = 43;
/// Characters that a `u32` needs.
pub(crate) const WIDTH_OF_U32: usize = 6;

/// Appends 32 bytes, read as one big-endian number, in 43 characters.
pub(crate) fn push_32_bytes(text: &mut String, bytes: &[u8; 32]) {
    let mut number = zeroize::Zeroizing::new(*bytes);
    let mut digits = zeroize::Zeroizing::new([0_u8; WIDTH_OF_32_BYTES]);
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::from(divide_by_62(&mut number))];
    }
    text.extend(digits.iter().copied().map(char::from));
}

/// Appends a number in six characters.
pub(crate) fn push_u32(text: &mut String, mut number: u32) {
    let mut digits = [0_u8; WIDTH_OF_U32];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    text.extend(digits.iter().copied().map(char::from));
}

/// Divides a big-endian number in place and returns the remainder.
fn divide_by_62(number: &mut [u8; 32]) -> u8 {
    let mut remainder = 0_u16;
    for byte in number.iter_mut() {
        let part = remainder << 8 | u16::from(*byte);
        *byte = u8::try_from(part / 62).expect("the remainder is below 62, so the quotient fits a byte");
        remainder = part % 62;
    }
    u8::try_from(remainder).expect("a remainder of 62 is below 62")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(bytes: [u8; 32]) -> String {
        let mut text = String::new();
        push_32_bytes(&mut text, &bytes);
        text
    }

    #[test]
    fn small_numbers_keep_their_leading_zeros() {
        let mut bytes = [0; 32];
        assert_eq!(of_bytes(bytes), "0".repeat(43));
        bytes[31] = 61;
        assert_eq!(of_bytes(bytes), format!("{}z", "0".repeat(42)));
        bytes[31] = 62;
        assert_eq!(of_bytes(bytes), format!("{}10", "0".repeat(41)));
    }

    #[test]
    fn the_largest_numbers_still_fit() {
        let largest = of_bytes([0xff; 32]);
        assert_eq!(largest.len(), 43);
        assert!(largest.starts_with('y'), "{largest}");
        let mut text = String::new();
        push_u32(&mut text, u32::MAX);
        assert_eq!(text, "4gfFC3");
    }
}
