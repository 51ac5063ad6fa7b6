//! What JSON leaves open.

use serde_json::Value;

/// Up to here a float tells all whole numbers apart.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number that is not negative, however it is written: to JSON Schema 2.0 is one.
#[must_use]
pub fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| (0.0..=LARGEST_EXACT).contains(number))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in the range that was checked"
        )]
        let whole = number as u64;
        #[expect(
            clippy::float_cmp,
            clippy::cast_precision_loss,
            reason = "exact in this range: only 2.0 is 2"
        )]
        let is_exact = whole as f64 == number;
        is_exact.then_some(whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (value, number) in [
            (json!(2), Some(2)),
            (json!(2.0), Some(2)),
            (json!(87_178_291_199.0), Some(87_178_291_199)),
            (json!(0.0), Some(0)),
            (json!(2.5), None),
            (json!(-1.0), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("2"), None),
        ] {
            assert_eq!(whole(&value), number, "{value}");
        }
    }
}
