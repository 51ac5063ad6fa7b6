//! The protocol eras: what a server that speaks only one of them refuses.
//!
//! Up to 2025-11-25 a conversation begins with `initialize`; from 2026-07-28 on every request stands for itself. The
//! library serves both. A server of one era answers requests of the other as real ones do, which is for a legacy
//! server: with an error that no modern client takes for a modern one (Versioning, Backward Compatibility).

use std::borrow::Cow;

use clap::ValueEnum;
use rmcp::model::{ClientRequest, ErrorCode, ErrorData, GetMeta, ProtocolVersion};

/// Which revisions are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// Revisions with a handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// The stateless revision 2026-07-28.
    Modern,
    /// All of them.
    Dual,
}

impl Era {
    /// The revisions, oldest first.
    pub fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(match self {
            Self::Legacy => ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE),
            Self::Modern => &[ProtocolVersion::V_2026_07_28],
            Self::Dual => ProtocolVersion::KNOWN_VERSIONS,
        })
    }

    /// The error that a request of the other era is answered with; `None` for one to be served.
    pub fn refuses(self, request: &ClientRequest) -> Option<ErrorData> {
        match self {
            Self::Dual => None,
            Self::Legacy => refused_by_legacy(request),
            Self::Modern => self.refused_by_modern(request),
        }
    }

    fn refused_by_modern(self, request: &ClientRequest) -> Option<ErrorData> {
        let ClientRequest::InitializeRequest(asked) = request else { return None };
        Some(ErrorData::unsupported_protocol_version(asked.params.protocol_version.clone(), &self.versions()))
    }
}

fn refused_by_legacy(request: &ClientRequest) -> Option<ErrorData> {
    if matches!(request, ClientRequest::DiscoverRequest(_) | ClientRequest::SubscriptionsListenRequest(_)) {
        return Some(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "Method not found", None));
    }
    let version = request.get_meta().protocol_version()?;
    (!version.has_initialize()).then(|| ErrorData::invalid_request("begin with initialize", None))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: &str, params: &serde_json::Value) -> ClientRequest {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        match serde_json::from_value(message).unwrap() {
            rmcp::model::ClientJsonRpcMessage::Request(asked) => asked.request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_of_one_era_refuses_the_other() {
        let modern = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let handshake = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        });
        let code = |era: Era, asked: &ClientRequest| era.refuses(asked).map(|error| error.code.0);
        let (discover, list) = (request("server/discover", &modern), request("tools/list", &modern));
        let initialize = request("initialize", &handshake);
        assert_eq!(code(Era::Legacy, &discover), Some(-32601));
        assert_eq!(code(Era::Legacy, &list), Some(-32600));
        assert_eq!(code(Era::Legacy, &initialize), None);
        assert_eq!(code(Era::Modern, &initialize), Some(-32022));
        assert_eq!(code(Era::Modern, &discover), None);
        for asked in [&discover, &list, &initialize] {
            assert_eq!(code(Era::Dual, asked), None);
        }
    }

    #[test]
    fn each_era_has_its_revisions() {
        assert!(Era::Legacy.versions().iter().all(ProtocolVersion::has_initialize));
        assert!(!Era::Modern.versions().iter().any(ProtocolVersion::has_initialize));
        assert_eq!(Era::Dual.versions().len(), Era::Legacy.versions().len() + Era::Modern.versions().len());
    }
}
