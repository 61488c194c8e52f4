//! What answers on a port need not be a logger: each kind of stranger gets its own word, and none holds the page up.

use std::time::Duration;

use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::link::{Link, LinkError};

/// A port with something behind it that is no logger.
struct Stranger {
    /// What it says next; `sent` is what it heard and has not answered yet.
    says: fn(sent: &mut Vec<u8>) -> Vec<u8>,
    sent: Vec<u8>,
    /// It says something only so often.
    every: Duration,
    /// How long somebody waited for it.
    waited: Duration,
}

/// A person waits for so long at most.
const PATIENCE: Duration = Duration::from_secs(10);

impl Link for Stranger {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.sent.extend_from_slice(bytes);
        Ok(())
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let since = self.waited.as_nanos() % self.every.as_nanos();
        let next = self.every - Duration::from_nanos(since as u64);
        self.waited += next.min(timeout);
        assert!(self.waited < PATIENCE, "it is given up in time");
        if next > timeout {
            return Ok(Vec::new());
        }
        Ok((self.says)(&mut self.sent))
    }

    async fn reopen(&mut self, _timeout: Duration) -> Result<(), LinkError> {
        Ok(())
    }

    async fn sleep(&mut self, _time: Duration) {}
}

fn greeted(says: fn(&mut Vec<u8>) -> Vec<u8>) -> TalkError {
    greeted_every(Duration::from_millis(1), says)
}

fn greeted_every(every: Duration, says: fn(&mut Vec<u8>) -> Vec<u8>) -> TalkError {
    let stranger = Stranger {
        says,
        sent: Vec::new(),
        every,
        waited: Duration::ZERO,
    };
    match block_on(Conversation::open(stranger)) {
        Ok(_) => panic!("it passed for a logger"),
        Err((_, error)) => error,
    }
}

#[test]
fn a_port_with_nothing_behind_it_is_silent() {
    assert_eq!(greeted(|_| Vec::new()), TalkError::Silent);
}

#[test]
fn a_receiver_that_talks_without_end_is_no_logger() {
    let talks = |_: &mut Vec<u8>| b"$GPRMC,123519,A,4807.038,N,01131.000,E*6A\r\n".to_vec();
    assert_eq!(greeted(talks), TalkError::Unexpected);
}

#[test]
fn one_that_says_little_but_never_stops_is_given_up_in_time() {
    let position = |_: &mut Vec<u8>| b"$GPRMC,123519,A,4807.038,N,01131.000,E*6A\r\n".to_vec();
    let number = |_: &mut Vec<u8>| b"412\r\n".to_vec();
    for (millis, says) in [
        (1000, position as fn(&mut Vec<u8>) -> Vec<u8>),
        (100, number),
    ] {
        let every = Duration::from_millis(millis);
        assert_eq!(greeted_every(every, says), TalkError::Unexpected);
    }
}

#[test]
fn a_modem_that_answers_in_its_own_words_is_no_logger() {
    let answers = |sent: &mut Vec<u8>| {
        let heard = !core::mem::take(sent).is_empty();
        if heard {
            b"ERROR\r\n".to_vec()
        } else {
            Vec::new()
        }
    };
    assert_eq!(greeted(answers), TalkError::Unexpected);
}

#[test]
fn an_echo_is_no_logger() {
    assert_eq!(greeted(core::mem::take), TalkError::Unexpected);
}
