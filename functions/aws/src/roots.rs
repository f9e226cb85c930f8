//! Which root certificates the functions trust.
//!
//! The system's are some hundred and fifty, and parsing them is most of a small function's start. AWS services in
//! the commercial and government regions have certificates of Amazon Trust Services, whose five roots are
//! enough for them (<https://www.amazontrust.com/repository/>,
//! <https://aws.amazon.com/blogs/security/how-to-prepare-for-aws-move-to-its-own-certificate-authority/>).

use aws_smithy_http_client::tls::{TlsContext, TrustStore};

/// Amazon Root CA 1 to 4, and Starfield Services Root Certificate Authority G2.
const AMAZON: &[u8] = include_bytes!("../roots/amazon-trust-services.pem");

/// Beginnings of region names elsewhere: China, the isolated partitions, the European Sovereign Cloud.
const OTHER_PARTITIONS: [&str; 4] = ["cn-", "us-iso", "eu-iso", "eusc-"];

/// The trust store for a region: the file that `AWS_CA_BUNDLE` names if it is set, as all AWS tools have it;
/// Amazon's own roots where they are enough; else the system's.
pub(crate) fn trust_store(bundle: Option<Vec<u8>>, region: Option<&str>) -> TrustStore {
    match (bundle, region) {
        (Some(bundle), _) => TrustStore::empty().with_pem_certificate(bundle),
        (None, Some(region)) if !OTHER_PARTITIONS.iter().any(|other| region.starts_with(other)) => {
            TrustStore::empty().with_pem_certificate(AMAZON)
        }
        _ => TrustStore::default().with_native_roots(true),
    }
}

/// The TLS settings from the environment; `None` if they cannot be made, which leaves the client's defaults.
pub(crate) fn from_environment() -> Option<TlsContext> {
    let bundle = std::env::var_os("AWS_CA_BUNDLE").and_then(|path| match std::fs::read(&path) {
        Ok(bundle) => Some(bundle),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "AWS_CA_BUNDLE cannot be read");
            None
        }
    });
    let region = std::env::var("AWS_REGION").ok();
    TlsContext::builder().with_trust_store(trust_store(bundle, region.as_deref())).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_five_certificates() {
        let text = std::str::from_utf8(AMAZON).unwrap();
        assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 5);
        assert_eq!(text.matches("-----END CERTIFICATE-----").count(), 5);
    }

    #[test]
    fn amazons_roots_are_used_only_where_they_are_enough() {
        let shown = |bundle: Option<&[u8]>, region| format!("{:?}", trust_store(bundle.map(<[u8]>::to_vec), region));
        let amazon = shown(None, Some("eu-west-1"));
        assert_eq!(amazon, shown(None, Some("us-gov-west-1")));
        assert_ne!(amazon, shown(None, Some("cn-north-1")));
        assert_ne!(amazon, shown(None, None));
        assert_ne!(amazon, shown(Some(b"mine"), Some("eu-west-1")));
    }
}
