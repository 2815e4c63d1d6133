//! Bytes to lines and back, over an in-memory pipe and over loopback.

use stratum::Url;
use stratum::net::{NetEvent, ToTask, ToThread, run_client, serve_connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

#[test]
fn lines_are_cut_where_they_end_and_go_out_whole() {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (out, lines) = mpsc::channel(4);
        let (tell, events) = std::sync::mpsc::sync_channel(8);
        let task = tokio::spawn(serve_connection(ours, 10, lines, ToThread(tell, |e| (7, e))));
        theirs.write_all(b"one\r\ntw").await.expect("room");
        theirs.write_all(b"o\n\n").await.expect("room");
        out.send(b"hello\n".to_vec()).await.expect("room");
        let mut got = [0; 6];
        theirs.read_exact(&mut got).await.expect("a line");
        assert_eq!(&got, b"hello\n");
        theirs.write_all(b"12345678901").await.expect("room");
        task.await.expect("no panic");
        let events: Vec<_> = events.try_iter().map(|(tag, e)| (assert_eq!(tag, 7), e).1).collect();
        let line = |t: &str| NetEvent::Line(t.as_bytes().to_vec());
        let end = NetEvent::Closed("a line of more than 10 bytes".to_owned());
        assert_eq!(events, [NetEvent::Connected, line("one\r"), line("two"), line(""), line("12345678901"), end]);
    });
}

#[test]
fn a_full_channel_holds_lines_back_and_loses_none() {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (_out, lines) = mpsc::channel(1);
        let (tell, events) = std::sync::mpsc::sync_channel(1);
        theirs.write_all(&b"x\n".repeat(20)).await.expect("room");
        drop(theirs);
        let thread = std::thread::spawn(move || events.into_iter().filter(|e| matches!(e, NetEvent::Line(_))).count());
        serve_connection(ours, 10, lines, ToThread(tell, |e| e)).await;
        assert_eq!(thread.join().expect("no panic"), 20);
    });
}

#[test]
fn our_last_line_is_sent_before_we_close() {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let ((out, lines), (tell, mut events)) = (mpsc::channel(4), mpsc::channel(8));
        out.send(b"bye\n".to_vec()).await.expect("room");
        drop(out);
        serve_connection(ours, 10, lines, ToTask(tell, |e| e)).await;
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.expect("an end");
        assert_eq!(got, b"bye\n");
        assert_eq!(events.recv().await, Some(NetEvent::Connected));
        assert_eq!(events.recv().await, Some(NetEvent::Closed("closed on our side".to_owned())));
    });
}

#[test]
fn a_client_connects_over_loopback_and_names_what_fails() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let url = |scheme: &str| Url::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("good");
        let ((_out, lines), (tell, mut events)) = (mpsc::channel(4), mpsc::channel(8));
        let peer = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(b"hi\n").await.expect("room");
        };
        let pool = url("stratum+tcp");
        tokio::join!(peer, run_client(&pool, 99, lines, ToTask(tell, |e| e)));
        assert_eq!(events.recv().await, Some(NetEvent::Connected));
        assert_eq!(events.recv().await, Some(NetEvent::Line(b"hi".to_vec())));
        assert_eq!(events.recv().await, Some(NetEvent::Closed("the other side closed the connection".to_owned())));

        drop(listener);
        for scheme in ["stratum+tcp", "stratum+tls"] {
            let ((_out, lines), (tell, mut events)) = (mpsc::channel(4), mpsc::channel(8));
            run_client(&url(scheme), 99, lines, ToTask(tell, |e| e)).await;
            let got = events.recv().await;
            assert!(matches!(&got, Some(NetEvent::Closed(why)) if why.starts_with("connect to 127.0.0.1")), "{got:?}");
        }
    });
}
