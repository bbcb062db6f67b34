//! A slow line: a relay of TCP connections that holds back what it carries.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// How many bytes are taken from a connection at once.
const CHUNK: usize = 16 * 1024;

/// How many chunks are on their way in one direction, at most. It bounds the memory; at any latency that people
/// have it is far more than a client of an API server keeps on its way.
const ON_THEIR_WAY: usize = 1024;

/// A relay to one address. It ends, with its connections, when dropped.
///
/// It holds back every byte by half the latency in each direction, and keeps order and throughput: a request with its
/// answer costs one latency, a TLS handshake as many as it has round trips. TLS goes through it untouched. What it
/// cannot delay is TCP's own handshake, which on loopback is over before the relay sees the connection.
pub struct Relay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Relay {
    /// Starts a relay to `target`, on a free port of loopback.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(target: SocketAddr, latency: Duration) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port on loopback")?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, target, latency / 2, Arc::clone(&connections)));
        Ok(Self { address, connections, task: task.abort_handle() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has taken since its start.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections for ever. Those that are open belong to this task and end with it.
async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration, connections: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.fetch_add(1, Ordering::Relaxed);
                    // A connection that breaks is closed on both sides, which is how both learn of it.
                    open.spawn(async move { drop(connect(client, target, delay).await) });
                }
                // Out of file descriptors, say: asking again at once would change nothing.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    // The delay is to be the relay's alone.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::try_join!(carry(client_reads, server_writes, delay), carry(server_reads, client_writes, delay),)?;
    Ok(())
}

/// Carries one direction. Reading does not wait for writing, or every chunk would wait for the one before it.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY);
    let read = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, chunk)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            sleep_until(due).await;
            if chunk.is_empty() {
                // The end is as late as what came before it.
                return to.shutdown().await;
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_late_whole_and_in_order() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = echo.accept().await.unwrap();
            let (mut reads, mut writes) = stream.into_split();
            tokio::io::copy(&mut reads, &mut writes).await.unwrap();
        });
        let latency = Duration::from_millis(100);
        let relay = Relay::start(target, latency).await.unwrap();
        let stream = TcpStream::connect(relay.address()).await.unwrap();
        let (mut reads, mut writes) = stream.into_split();

        let begun = Instant::now();
        // Many chunks: more than the buffers of the sockets hold.
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
        let (bytes, _) = (
            sent.clone(),
            tokio::spawn(async move {
                writes.write_all(&sent).await.unwrap();
                writes.shutdown().await.unwrap();
            }),
        );
        let mut first = [0; 1];
        reads.read_exact(&mut first).await.unwrap();
        assert!(begun.elapsed() >= latency, "{:?}", begun.elapsed());

        let mut received = first.to_vec();
        reads.read_to_end(&mut received).await.unwrap();
        assert!(received == bytes, "{} bytes of {}", received.len(), bytes.len());
        assert_eq!(relay.connections(), 1);
    }
}
