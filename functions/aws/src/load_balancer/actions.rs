//! Actions as the API has them, to and from the domain's, without loss.
//!
//! `ModifyRule` and `ModifyListener` replace the whole list of actions, so whatever is not carried over here
//! is deleted from the route. What cannot be carried over is an error, never left out.

use aws_sdk_elasticloadbalancingv2::types as api;
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{
    Action, ActionKind, AuthenticateCognito, AuthenticateOidc, FixedResponse, Forward, JwtClaim, JwtValidation,
    Redirect, Session, Stickiness, WeightedGroup,
};
use thiserror::Error;

/// An action that the domain cannot hold.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("an action cannot be read: {0}")]
pub struct UnreadableAction(String);

type Read<T> = Result<T, UnreadableAction>;

/// Reads actions.
///
/// # Errors
/// [`UnreadableAction`] for a type, a value or a combination of fields that is not known here.
pub fn from_api(actions: &[api::Action]) -> Read<Vec<Action>> {
    actions.iter().map(|action| Ok(Action { order: action.order(), kind: kind_from_api(action)? })).collect()
}

/// Writes actions.
#[must_use]
pub fn to_api(actions: &[Action]) -> Vec<api::Action> {
    actions.iter().map(action_to_api).collect()
}

fn unreadable<T>(what: impl Into<String>) -> Read<T> {
    Err(UnreadableAction(what.into()))
}

/// The field's value, which the API promises.
fn required<T: Clone>(value: Option<&T>, name: &str) -> Read<T> {
    value.cloned().ok_or_else(|| UnreadableAction(format!("{name} is missing")))
}

/// The value, if it is one of those that were known when this was built.
fn known(value: &str, all: &[&str], name: &str) -> Read<String> {
    if all.contains(&value) { Ok(value.into()) } else { unreadable(format!("{name} {value} is not known")) }
}

fn kind_from_api(action: &api::Action) -> Read<ActionKind> {
    let kind = required(action.r#type.as_ref(), "Type")?;
    let configs = [
        ("authenticate-cognito", action.authenticate_cognito_config.is_some()),
        ("authenticate-oidc", action.authenticate_oidc_config.is_some()),
        ("fixed-response", action.fixed_response_config.is_some()),
        ("forward", action.forward_config.is_some() || action.target_group_arn.is_some()),
        ("jwt-validation", action.jwt_validation_config.is_some()),
        ("redirect", action.redirect_config.is_some()),
    ];
    if let Some((other, _)) = configs.iter().find(|(name, present)| *present && *name != kind.as_str()) {
        return unreadable(format!("its type is {}, and it has a configuration for {other}", kind.as_str()));
    }
    Ok(match kind {
        api::ActionTypeEnum::Forward => ActionKind::Forward(forward_from_api(action)?),
        api::ActionTypeEnum::AuthenticateOidc => {
            let config = required(action.authenticate_oidc_config.as_ref(), "AuthenticateOidcConfig")?;
            ActionKind::AuthenticateOidc(oidc_from_api(config)?)
        }
        api::ActionTypeEnum::AuthenticateCognito => {
            let config = required(action.authenticate_cognito_config.as_ref(), "AuthenticateCognitoConfig")?;
            ActionKind::AuthenticateCognito(cognito_from_api(config)?)
        }
        api::ActionTypeEnum::JwtValidation => {
            let config = required(action.jwt_validation_config.as_ref(), "JwtValidationConfig")?;
            ActionKind::JwtValidation(jwt_from_api(&config)?)
        }
        api::ActionTypeEnum::Redirect => {
            let config = required(action.redirect_config.as_ref(), "RedirectConfig")?;
            ActionKind::Redirect(redirect_from_api(config)?)
        }
        api::ActionTypeEnum::FixedResponse => {
            let config = required(action.fixed_response_config.as_ref(), "FixedResponseConfig")?;
            ActionKind::FixedResponse(FixedResponse {
                status_code: required(config.status_code.as_ref(), "StatusCode")?,
                message_body: config.message_body,
                content_type: config.content_type,
            })
        }
        other => return unreadable(format!("type {} is not known", other.as_str())),
    })
}

/// One group may be given by `TargetGroupArn` alone, or by both forms at once:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html>.
fn forward_from_api(action: &api::Action) -> Read<Forward> {
    let config = action.forward_config.as_ref();
    let mut groups = config.map_or(&[][..], api::ForwardActionConfig::target_groups).iter().map(|group| {
        let weight = group.weight.map_or(Ok(1), u16::try_from);
        Ok(WeightedGroup {
            arn: target_group(&required(group.target_group_arn.as_ref(), "TargetGroupArn")?)?,
            weight: weight.or_else(|_| unreadable(format!("weight {:?} is out of range", group.weight)))?,
        })
    });
    let mut groups = groups.by_ref().collect::<Read<Vec<_>>>()?;
    if let Some(short) = action.target_group_arn.as_deref() {
        if groups.is_empty() {
            groups.push(WeightedGroup { arn: target_group(short)?, weight: 1 });
        } else if groups.iter().all(|group| group.arn.as_str() != short) {
            return unreadable(format!("TargetGroupArn is {short}, which is not in ForwardConfig"));
        }
    }
    if groups.is_empty() {
        return unreadable("a forward names no target group");
    }
    let stickiness = config.and_then(|config| config.target_group_stickiness_config.as_ref());
    let stickiness = stickiness.map(|stickiness| Stickiness {
        enabled: stickiness.enabled.unwrap_or_default(),
        duration_seconds: stickiness.duration_seconds,
    });
    // Where no stickiness was written, the answer says that it is off. The two mean the same, and must read
    // the same, or the write would look like a stranger's edit.
    let stickiness = stickiness.filter(|stickiness| stickiness.enabled || stickiness.duration_seconds.is_some());
    Ok(Forward { groups, stickiness })
}

fn target_group(arn: &str) -> Read<TargetGroupArn> {
    TargetGroupArn::parse(arn).or_else(|problem| unreadable(format!("target group {arn}: {problem}")))
}

/// An answer leaves the client secret out; if one should be in it, it must not go any further.
fn oidc_from_api(config: api::AuthenticateOidcActionConfig) -> Read<AuthenticateOidc> {
    Ok(AuthenticateOidc {
        issuer: required(config.issuer.as_ref(), "Issuer")?,
        authorization_endpoint: required(config.authorization_endpoint.as_ref(), "AuthorizationEndpoint")?,
        token_endpoint: required(config.token_endpoint.as_ref(), "TokenEndpoint")?,
        user_info_endpoint: required(config.user_info_endpoint.as_ref(), "UserInfoEndpoint")?,
        client_id: required(config.client_id.as_ref(), "ClientId")?,
        session: Session {
            session_cookie_name: config.session_cookie_name,
            scope: config.scope,
            session_timeout: config.session_timeout,
            authentication_request_extra_params: extra_params(config.authentication_request_extra_params),
            on_unauthenticated_request: on_unauthenticated(
                config
                    .on_unauthenticated_request
                    .as_ref()
                    .map(api::AuthenticateOidcActionConditionalBehaviorEnum::as_str),
                api::AuthenticateOidcActionConditionalBehaviorEnum::values(),
            )?,
        },
    })
}

fn cognito_from_api(config: api::AuthenticateCognitoActionConfig) -> Read<AuthenticateCognito> {
    Ok(AuthenticateCognito {
        user_pool_arn: required(config.user_pool_arn.as_ref(), "UserPoolArn")?,
        user_pool_client_id: required(config.user_pool_client_id.as_ref(), "UserPoolClientId")?,
        user_pool_domain: required(config.user_pool_domain.as_ref(), "UserPoolDomain")?,
        session: Session {
            session_cookie_name: config.session_cookie_name,
            scope: config.scope,
            session_timeout: config.session_timeout,
            authentication_request_extra_params: extra_params(config.authentication_request_extra_params),
            on_unauthenticated_request: on_unauthenticated(
                config
                    .on_unauthenticated_request
                    .as_ref()
                    .map(api::AuthenticateCognitoActionConditionalBehaviorEnum::as_str),
                api::AuthenticateCognitoActionConditionalBehaviorEnum::values(),
            )?,
        },
    })
}

fn extra_params<P>(params: Option<P>) -> std::collections::BTreeMap<String, String>
where
    P: IntoIterator<Item = (String, String)>,
{
    params.into_iter().flatten().collect()
}

fn on_unauthenticated(value: Option<&str>, all: &[&str]) -> Read<Option<String>> {
    value.map(|value| known(value, all, "OnUnauthenticatedRequest")).transpose()
}

fn jwt_from_api(config: &api::JwtValidationActionConfig) -> Read<JwtValidation> {
    let formats = api::JwtValidationActionAdditionalClaimFormatEnum::values();
    let claims = config.additional_claims().iter().map(|claim| {
        Ok(JwtClaim {
            format: known(required(claim.format.as_ref(), "Format")?.as_str(), formats, "claim format")?,
            name: required(claim.name.as_ref(), "Name")?,
            values: claim.values().to_vec(),
        })
    });
    Ok(JwtValidation {
        jwks_endpoint: required(config.jwks_endpoint.as_ref(), "JwksEndpoint")?,
        issuer: required(config.issuer.as_ref(), "Issuer")?,
        additional_claims: claims.collect::<Read<_>>()?,
    })
}

fn redirect_from_api(config: api::RedirectActionConfig) -> Read<Redirect> {
    let status_code = required(config.status_code.as_ref(), "StatusCode")?;
    Ok(Redirect {
        status_code: known(status_code.as_str(), api::RedirectActionStatusCodeEnum::values(), "redirect status")?,
        protocol: config.protocol,
        port: config.port,
        host: config.host,
        path: config.path,
        query: config.query,
    })
}

fn action_to_api(action: &Action) -> api::Action {
    let written = api::Action::builder().set_order(action.order);
    match &action.kind {
        ActionKind::Forward(forward) => {
            written.r#type(api::ActionTypeEnum::Forward).forward_config(forward_to_api(forward))
        }
        ActionKind::AuthenticateOidc(oidc) => {
            written.r#type(api::ActionTypeEnum::AuthenticateOidc).authenticate_oidc_config(oidc_to_api(oidc))
        }
        ActionKind::AuthenticateCognito(cognito) => written
            .r#type(api::ActionTypeEnum::AuthenticateCognito)
            .authenticate_cognito_config(cognito_to_api(cognito)),
        ActionKind::JwtValidation(jwt) => {
            written.r#type(api::ActionTypeEnum::JwtValidation).jwt_validation_config(jwt_to_api(jwt))
        }
        ActionKind::Redirect(redirect) => written.r#type(api::ActionTypeEnum::Redirect).redirect_config(
            api::RedirectActionConfig::builder()
                .status_code(redirect.status_code.as_str().into())
                .set_protocol(redirect.protocol.clone())
                .set_port(redirect.port.clone())
                .set_host(redirect.host.clone())
                .set_path(redirect.path.clone())
                .set_query(redirect.query.clone())
                .build(),
        ),
        ActionKind::FixedResponse(fixed) => written.r#type(api::ActionTypeEnum::FixedResponse).fixed_response_config(
            api::FixedResponseActionConfig::builder()
                .status_code(&fixed.status_code)
                .set_message_body(fixed.message_body.clone())
                .set_content_type(fixed.content_type.clone())
                .build(),
        ),
    }
    .build()
}

/// Always the long form: it is the only one that holds weights and stickiness.
fn forward_to_api(forward: &Forward) -> api::ForwardActionConfig {
    let groups = forward.groups.iter().map(|group| {
        api::TargetGroupTuple::builder().target_group_arn(group.arn.as_str()).weight(group.weight.into()).build()
    });
    let stickiness = forward.stickiness.map(|stickiness| {
        api::TargetGroupStickinessConfig::builder()
            .enabled(stickiness.enabled)
            .set_duration_seconds(stickiness.duration_seconds)
            .build()
    });
    api::ForwardActionConfig::builder()
        .set_target_groups(Some(groups.collect()))
        .set_target_group_stickiness_config(stickiness)
        .build()
}

/// `UseExistingClientSecret` keeps the secret that no answer tells:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AuthenticateOidcActionConfig.html>.
fn oidc_to_api(oidc: &AuthenticateOidc) -> api::AuthenticateOidcActionConfig {
    let session = &oidc.session;
    api::AuthenticateOidcActionConfig::builder()
        .issuer(&oidc.issuer)
        .authorization_endpoint(&oidc.authorization_endpoint)
        .token_endpoint(&oidc.token_endpoint)
        .user_info_endpoint(&oidc.user_info_endpoint)
        .client_id(&oidc.client_id)
        .use_existing_client_secret(true)
        .set_session_cookie_name(session.session_cookie_name.clone())
        .set_scope(session.scope.clone())
        .set_session_timeout(session.session_timeout)
        .set_authentication_request_extra_params(params_to_api(session))
        .set_on_unauthenticated_request(session.on_unauthenticated_request.as_deref().map(Into::into))
        .build()
}

fn cognito_to_api(cognito: &AuthenticateCognito) -> api::AuthenticateCognitoActionConfig {
    let session = &cognito.session;
    api::AuthenticateCognitoActionConfig::builder()
        .user_pool_arn(&cognito.user_pool_arn)
        .user_pool_client_id(&cognito.user_pool_client_id)
        .user_pool_domain(&cognito.user_pool_domain)
        .set_session_cookie_name(session.session_cookie_name.clone())
        .set_scope(session.scope.clone())
        .set_session_timeout(session.session_timeout)
        .set_authentication_request_extra_params(params_to_api(session))
        .set_on_unauthenticated_request(session.on_unauthenticated_request.as_deref().map(Into::into))
        .build()
}

fn params_to_api(session: &Session) -> Option<std::collections::HashMap<String, String>> {
    let params = &session.authentication_request_extra_params;
    (!params.is_empty()).then(|| params.clone().into_iter().collect())
}

fn jwt_to_api(jwt: &JwtValidation) -> api::JwtValidationActionConfig {
    let claims = jwt.additional_claims.iter().map(|claim| {
        api::JwtValidationActionAdditionalClaim::builder()
            .format(claim.format.as_str().into())
            .name(&claim.name)
            .set_values(Some(claim.values.clone()))
            .build()
    });
    api::JwtValidationActionConfig::builder()
        .jwks_endpoint(&jwt.jwks_endpoint)
        .issuer(&jwt.issuer)
        .set_additional_claims((!jwt.additional_claims.is_empty()).then(|| claims.collect()))
        .build()
}
