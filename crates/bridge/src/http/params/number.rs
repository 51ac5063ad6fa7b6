//! Numbers compared by what they are worth, however they are written and however large they are.

/// Whether both are numbers as JSON writes them, and the same number.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    match (Decimal::read(one), Decimal::read(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// `±0.digits × 10^exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Nothing when it is not a number in JSON, or its exponent is beyond all reason.
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let has_whole = !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
        if !has_whole || !is_plain(whole) || !is_plain(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let leading = i64::try_from(all.len() - significant.len()).ok()?;
        let point = i64::try_from(whole.len()).ok()?;
        let exponent = exponent.checked_add(point)?.checked_sub(leading)?;
        Some(Self { negative, digits: significant.trim_end_matches('0').to_owned(), exponent })
    }
}

fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_many_spellings_is_the_same() {
        for (one, other) in [
            ("42", "42.0"),
            ("42", "4.2e1"),
            ("42", "420E-1"),
            ("-7", "-7.00"),
            ("0", "-0.0e9"),
            ("0.5", "5e-1"),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e+29"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn different_numbers_and_what_is_no_number_differ() {
        for (one, other) in [
            ("42", "43"),
            ("42", "-42"),
            ("42", "4.2"),
            ("9007199254740992", "9007199254740993"),
            ("42", "042"),
            ("42", "+42"),
            ("42", "42."),
            ("42", ""),
            ("42", "0x2a"),
            ("42", "4 2"),
            ("1e99999999999999999999", "1e99999999999999999999"),
            ("1e", "1e"),
            ("NaN", "NaN"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
