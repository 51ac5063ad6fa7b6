//! `completion/complete`: ports for a prompt's arguments, numbers for the template.

use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData, Reference};

const PORTS: [&str; 4] = ["Lagos", "Lisboa", "Liverpool", "Valparaíso"];
const NUMBERS: [&str; 3] = ["1", "12", "123"];

/// The values that begin with what was typed so far.
pub fn of(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let known: &[&str] = match (&request.r#ref, request.argument.name.as_str()) {
        (Reference::Resource(_), "id") => &NUMBERS,
        (Reference::Prompt(_), "arg1" | "arg2") => &PORTS,
        _ => &[],
    };
    let values = known.iter().filter(|value| value.starts_with(&request.argument.value));
    let values = values.map(|value| (*value).to_owned()).collect();
    let completion =
        CompletionInfo::with_all_values(values).map_err(|reason| ErrorData::internal_error(reason, None))?;
    Ok(CompleteResult::new(completion))
}
