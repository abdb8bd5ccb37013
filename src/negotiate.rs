//! Refusals in the form that the client asks for, where a service offers several.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{ACCEPT, VARY},
    request::Parts,
};

use crate::{rejection::Rejection, render::Render};

/// Renders by the request's `Accept` (RFC 9110 §12.5.1), and says so by `Vary`.
///
/// Another form than the default is given only to those who name its media type, and name `application/json`, the default,
/// with no higher weight: a wildcard asks for nothing in particular.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, JsonEnvelope, MemoryStore, Negotiated, ProblemJson};
///
/// let render = Negotiated::new(JsonEnvelope::new()).or("application/problem+json", ProblemJson::new());
/// let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_render(render);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone)]
pub struct Negotiated {
    default: Arc<dyn Render>,
    others: Vec<(&'static str, Arc<dyn Render>)>,
}

const DEFAULT_TYPE: &str = "application/json";

impl Negotiated {
    /// Renders as `default` does, until it is told of other forms.
    #[must_use]
    pub fn new(default: impl Render) -> Self {
        Self {
            default: Arc::new(default),
            others: Vec::new(),
        }
    }

    /// Renders as `render` does for those who prefer `media_type`. Of two that are preferred alike the first one is given.
    #[must_use]
    pub fn or(mut self, media_type: &'static str, render: impl Render) -> Self {
        self.others.push((media_type, Arc::new(render)));
        self
    }

    fn chosen(&self, headers: &HeaderMap) -> &dyn Render {
        let default = (weight(headers, DEFAULT_TYPE), &self.default);
        let others = self.others.iter();
        let weighed = others.map(|(media_type, render)| (weight(headers, media_type), render));
        let named = weighed.filter(|(weight, _)| *weight > 0 && *weight >= default.0);
        // The last of equals, and the first of these is wanted.
        let (_, render) = named
            .rev()
            .max_by_key(|(weight, _)| *weight)
            .unwrap_or(default);
        &**render
    }
}

impl Render for Negotiated {
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        let mut response = self.chosen(&request.headers).render(rejection, request);
        let accept = HeaderValue::from_static("accept");
        response.headers_mut().append(VARY, accept);
        response
    }
}

/// In thousandths, 1000 without a `q`; 0 where the type is not named.
fn weight(headers: &HeaderMap, media_type: &str) -> u16 {
    let lines = headers.get_all(ACCEPT).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let named = lines.flat_map(|line| line.split(',')).filter_map(|entry| {
        let mut parameters = entry.split(';').map(str::trim);
        let named = parameters.next()?.eq_ignore_ascii_case(media_type);
        named.then(|| parameters.find_map(quality).unwrap_or(1000))
    });
    named.max().unwrap_or(0)
}

/// `q=0.5`; what is not a weight is none, as a client that writes one wants something else than nothing.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let quality: f32 = value.trim().parse().ok()?;
    let is_quality = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&quality);
    is_quality.then_some((quality * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rejection::RejectionKind,
        render::{JsonEnvelope, ProblemJson},
    };
    use http::{Request, header::CONTENT_TYPE};

    fn content_type(accept: &[&'static str]) -> String {
        let render = Negotiated::new(JsonEnvelope::new())
            .or("application/problem+json", ProblemJson::new())
            .or("application/ld+json", JsonEnvelope::new());
        let (mut request, ()) = Request::new(()).into_parts();
        for line in accept {
            request
                .headers
                .append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let response = render.render(&RejectionKind::NotFound.into(), &request);
        assert_eq!(response.headers()[VARY], "accept");
        response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn problem_details_are_for_those_who_name_them() {
        for accept in [
            &["application/problem+json"][..],
            &["application/problem+json, application/json"],
            &[
                "application/json;q=0.5",
                "Application/Problem+JSON ; q = 0.6",
            ],
            &["text/html, application/problem+json;q=0.1, */*"],
            &["application/problem+json;q=no"],
            &["application/ld+json, application/problem+json"],
        ] {
            assert_eq!(
                content_type(accept),
                "application/problem+json",
                "{accept:?}"
            );
        }
        for accept in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["application/problem+json;q=0"],
            &["application/problem+json;q=0.8, application/json;q=0.9"],
            &["application/problem+jsonx"],
            &["text/html, é, application/problem+json"],
        ] {
            assert_eq!(content_type(accept), "application/json", "{accept:?}");
        }
    }
}
