//! The least that a record of each call can cost, by hand: three blocks of memory, one extension, two looks at the clock, an id
//! as text in one header. It knows no caller, believes every path, and forgets a call that is cancelled.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use coverbase_auth::CoverbaseAuthLayer;
use http::{HeaderName, HeaderValue, Method, Request, Response, uri::PathAndQuery};
use tower::{Layer, Service, service_fn};
use uuid::{Builder, fmt::Hyphenated};

use super::support::answering;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

struct Call {
    id: u128,
    #[expect(dead_code, reason = "nobody reads the log")]
    request: (Method, Option<PathAndQuery>),
    status: AtomicU16,
    nanoseconds: AtomicU64,
}

/// For the layer inside to tell whom it has let in.
#[derive(Clone)]
struct Witness(#[expect(dead_code, reason = "it is not told")] Arc<Call>);

pub(crate) fn audited_by_hand(
    auth: CoverbaseAuthLayer,
    room: usize,
) -> impl Service<Request<()>, Error = Infallible> {
    let mut inner = auth.layer(answering());
    let log = Arc::new(Mutex::new(Vec::with_capacity(room)));
    let mut count = 0;
    service_fn(move |mut request: Request<()>| {
        let started = Instant::now();
        count += 1;
        let call = Arc::new(Call {
            id: count,
            request: (
                request.method().clone(),
                request.uri().path_and_query().cloned(),
            ),
            status: AtomicU16::new(0),
            nanoseconds: AtomicU64::new(0),
        });
        request.extensions_mut().insert(Witness(Arc::clone(&call)));
        let (response, log) = (inner.call(request), Arc::clone(&log));
        async move {
            let mut response: Response<_> = response.await?;
            let status = response.status().as_u16();
            call.status.store(status, Ordering::Relaxed);
            let elapsed = started.elapsed().as_nanos() as u64;
            call.nanoseconds.store(elapsed, Ordering::Relaxed);
            let mut text = [0; Hyphenated::LENGTH];
            let id = Builder::from_u128(call.id).into_uuid();
            let id = id.hyphenated().encode_lower(&mut text);
            let id = Bytes::copy_from_slice(id.as_bytes());
            let id = HeaderValue::from_maybe_shared(id).expect("a UUID");
            response.headers_mut().insert(&X_REQUEST_ID, id);
            log.lock().expect("a lock").push(call);
            Ok(response)
        }
    })
}
