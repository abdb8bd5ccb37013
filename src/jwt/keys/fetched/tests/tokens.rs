//! Fetches that tokens cause.

use super::*;

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_first_fetch() {
    let script = Script::new([set()]);
    let keys = FetchedKeys::spawn(script.clone()).unwrap();
    assert!(!has(&keys, KID));
    let waits: Vec<_> = (0..100).map(|_| verify(&keys, KID)).collect();
    for waiting in waits {
        wait(waiting).await;
    }
    assert!(has(&keys, KID));
    assert_eq!(script.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_kids_cause_one_fetch_in_ten_seconds() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    for kid in 0..10_000 {
        assert!(is_invalid(&keys, &kid.to_string()));
    }
    assert_eq!(script.fetches(), 1);

    advance(seconds(10)).await;
    let waits: Vec<_> = (0..1000)
        .map(|kid| verify(&keys, &kid.to_string()))
        .collect();
    for waiting in waits {
        wait(waiting).await;
    }
    for kid in 0..10_000 {
        assert!(is_invalid(&keys, &kid.to_string()));
    }
    assert_eq!(script.fetches(), 2);
    // The receiver of the task.
    assert_eq!(keys.state.receiver_count(), 1);

    advance(seconds(10) - Duration::from_millis(1)).await;
    assert!(is_invalid(&keys, ""));
    sleep(seconds(60)).await;
    assert_eq!(script.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn first_token_of_a_new_key_waits_for_it() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    script.then([rotated_set()]);
    advance(seconds(10)).await;
    wait(verify(&keys, NEXT_KID)).await;
    assert!(has(&keys, NEXT_KID) && !has(&keys, KID));
}

#[tokio::test(start_paused = true)]
async fn wrong_signature_causes_one_fetch_in_ten_seconds() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let first = keys.keys().unwrap();
    assert!(is_invalid(&keys, KID));
    advance(seconds(10)).await;
    script.then([set()]);
    wait(verify(&keys, KID)).await;
    assert!(first.are_superseded() && has(&keys, KID));
    assert!(is_invalid(&keys, KID));
    assert_eq!(script.fetches(), 2);

    // The old keys stay in use after a failed fetch, and the signature is still wrong.
    script.then([Answer::Failure, Answer::Silence]);
    advance(seconds(10)).await;
    wait(verify(&keys, KID)).await;
    assert!(is_invalid(&keys, KID));
}

#[tokio::test(start_paused = true)]
async fn kid_of_an_unusable_key_causes_no_fetch() {
    let Answer::Set(json) = set() else {
        unreachable!();
    };
    let json = json.replace("\"keys\":[", r#""keys":[{"kty":"oct","kid":"shared"},"#);
    let script = Script::new([Answer::Set(json)]);
    let keys = fetched(&script).await;
    advance(seconds(10)).await;
    assert!(is_invalid(&keys, "shared"));
    assert_eq!(script.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_tried_with_replaced_keys_is_verified_again() {
    let keys = fetched(&Script::new([set()])).await;
    let replaced = Keys::from_jwks(TestIssuer::new("").jwks_json().as_bytes()).unwrap();
    let rejection = keys.rejection(Some(&Arc::new(replaced)), Unverified::UnknownKid);
    assert_eq!(wait(rejection).await, Duration::ZERO);
    assert!(is_invalid(&keys, NEXT_KID));
}

#[tokio::test(start_paused = true)]
async fn number_of_waiting_requests_is_bounded() {
    let keys = FetchedKeys::spawn(Script::new([Answer::Silence])).unwrap();
    let waits: Vec<_> = (0..MAX_WAITING).map(|_| verify(&keys, "")).collect();
    assert!(is_unavailable(&keys, ""));
    drop(waits);
    assert_eq!(wait(verify(&keys, "")).await, DEADLINE);
}
