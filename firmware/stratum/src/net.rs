//! The one file that carries bytes: lines in both directions between a socket and channels, on tokio.
//!
//! A line beyond its limit is not waited for, a peer that does not read is dropped, and a full channel holds the socket back
//! (TCP then slows the peer). Not here: what a line means, and whether to connect again.

use crate::Url;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long a name and a connection may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a peer may leave our bytes unread.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long sent bytes may stay unacknowledged, milliseconds.
const DEAD_LIMIT_MS: u32 = 30_000;
/// How long a line waits before it is offered again to a full channel.
const FULL_WAIT: Duration = Duration::from_millis(2);

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// It stands.
    Connected,
    /// A line came, without its end. One beyond the limit comes as far as it was read, and the connection ends behind it.
    Line(Vec<u8>),
    /// It ended or never stood; nothing follows.
    Closed(String),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No connection in time, or refused.
    #[error("connect to {host} port {port}: {source}")]
    Connect {
        /// Where.
        host: String,
        /// Where.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The peer ended it.
    #[error("the other side closed the connection")]
    Ended,
    /// A line without an end.
    #[error("a line of more than {0} bytes")]
    LineTooLong(usize),
    /// The peer does not read.
    #[error("the other side does not read")]
    Unread,
    /// We ended it.
    #[error("closed on our side")]
    Ours,
}

/// Where events go. Two kinds: a tokio channel, and a std one for a thread that waits with a time limit.
pub trait Tell: Send {
    /// Hands an event over, waiting while there is no room. False once nobody listens.
    fn tell(&mut self, event: NetEvent) -> impl Future<Output = bool> + Send;
}

/// To a tokio channel; the function says whose event it is.
pub struct ToTask<E, F>(pub mpsc::Sender<E>, pub F);

impl<E: Send, F: FnMut(NetEvent) -> E + Send> Tell for ToTask<E, F> {
    async fn tell(&mut self, event: NetEvent) -> bool {
        let event = (self.1)(event);
        self.0.send(event).await.is_ok()
    }
}

/// To a std channel; the function says whose event it is.
pub struct ToThread<E, F>(pub std::sync::mpsc::SyncSender<E>, pub F);

impl<E: Send, F: FnMut(NetEvent) -> E + Send> Tell for ToThread<E, F> {
    async fn tell(&mut self, event: NetEvent) -> bool {
        use std::sync::mpsc::TrySendError;
        let mut event = (self.1)(event);
        loop {
            match self.0.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) => event = back,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            tokio::time::sleep(FULL_WAIT).await;
        }
    }
}

/// Connects to a pool and carries lines until the connection ends or `lines` is dropped. Its last word is `Closed`.
pub async fn run_client(url: &Url, line_limit: usize, lines: mpsc::Receiver<Vec<u8>>, mut tell: impl Tell) {
    match connect(url).await {
        Ok(stream) => serve_connection(stream, line_limit, lines, tell).await,
        Err(e) => drop(tell.tell(NetEvent::Closed(e.to_string())).await),
    }
}

/// Carries lines on a connection that stands until it ends or `lines` is dropped. Its last word is `Closed`.
pub async fn serve_connection<S>(stream: S, line_limit: usize, mut lines: mpsc::Receiver<Vec<u8>>, mut tell: impl Tell)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    if !tell.tell(NetEvent::Connected).await {
        return;
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let end = tokio::select! {
        end = read_lines(&mut reader, line_limit, &mut tell) => end,
        end = write_lines(&mut writer, &mut lines) => end,
    };
    // The reason counts, not whether a peer that is gone could still be told.
    drop(tokio::time::timeout(WRITE_LIMIT, writer.shutdown()).await);
    tell.tell(NetEvent::Closed(end.to_string())).await;
}

/// Sets what every connection of ours has: no delay for small lines, and a dead peer noticed within half a minute.
///
/// # Errors
/// The socket refuses an option.
pub fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    // Keepalive rests while bytes wait for their acknowledgement; this limit holds then.
    sockopt::set_tcp_user_timeout(stream, DEAD_LIMIT_MS)?;
    Ok(())
}

async fn connect(url: &Url) -> Result<TcpStream, NetError> {
    let failed = |source| NetError::Connect { host: url.host.clone(), port: url.port, source };
    url.supported().map_err(|e| failed(std::io::Error::new(std::io::ErrorKind::Unsupported, e)))?;
    let connecting = TcpStream::connect((url.host.as_str(), url.port));
    let stream = tokio::time::timeout(CONNECT_LIMIT, connecting).await.map_err(|e| failed(e.into()))?.map_err(failed)?;
    prepare(&stream)?;
    Ok(stream)
}

async fn read_lines(reader: &mut (impl AsyncRead + Unpin), limit: usize, tell: &mut impl Tell) -> NetError {
    let (mut held, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let mut rest = match reader.read(&mut chunk).await {
            Ok(0) => return NetError::Ended,
            Ok(n) => &chunk[..n],
            Err(e) => return NetError::Broken(e),
        };
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            held.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if held.len() > limit {
                return too_long(held, limit, tell).await;
            }
            if !tell.tell(NetEvent::Line(std::mem::take(&mut held))).await {
                return NetError::Ours;
            }
        }
        held.extend_from_slice(rest);
        if held.len() > limit {
            return too_long(held, limit, tell).await;
        }
    }
}

/// What came of it so far is told as a line, so that the dialect names the fault as its own and not as a broken wire.
async fn too_long(held: Vec<u8>, limit: usize, tell: &mut impl Tell) -> NetError {
    if tell.tell(NetEvent::Line(held)).await { NetError::LineTooLong(limit) } else { NetError::Ours }
}

async fn write_lines(writer: &mut (impl AsyncWrite + Unpin), lines: &mut mpsc::Receiver<Vec<u8>>) -> NetError {
    while let Some(mut bytes) = lines.recv().await {
        // What waits already goes out in the same packet.
        while let Ok(more) = lines.try_recv() {
            bytes.extend(more);
        }
        match tokio::time::timeout(WRITE_LIMIT, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return NetError::Broken(e),
            Err(_) => return NetError::Unread,
        }
    }
    NetError::Ours
}
