//! Callbacks over TLS: they arrive where the certificate is of the URL's host and of an authority that is trusted.

use std::process::Command;

use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::api::tls::Tls;
use crate::trust::Trust;

/// Runs `openssl` in the directory.
fn openssl(dir: &Dir, line: &str) {
    let mut command = Command::new("openssl");
    let output = command.current_dir(&dir.0).args(line.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority (`ca.pem`) and a certificate of it (`cert.pem`, `key.pem`) for `receiver.test`.
fn make_certificates(dir: &Dir) {
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {new_key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(dir, &format!("req {new_key} -keyout key.pem -out c.csr -subj /CN=receiver"));
    std::fs::write(dir.0.join("names"), "subjectAltName=DNS:receiver.test\n").unwrap();
    let sign = "x509 -req -in c.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem";
    openssl(dir, &format!("{sign} -days 2 -extfile names"));
}

#[tokio::test]
async fn a_callback_over_tls_asks_who_is_there() {
    let dir = Dir::new();
    let key = CallbackKey::load_or_make(&dir.0).unwrap();
    make_certificates(&dir);
    let tls = Tls::load(&dir.0.join("cert.pem"), &dir.0.join("key.pem"), None).unwrap();
    let acceptor = tls.acceptor(b"http/1.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, mut heads) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = acceptor.accept(socket).await else { continue };
            let mut socket = BufReader::new(socket);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                socket.read_line(&mut head).await.unwrap();
            }
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            socket.write_all(answer).await.unwrap();
            socket.flush().await.unwrap();
            arrived.send(head).await.unwrap();
        }
    });
    let mut trusting = Poster::new(key.clone()).unwrap();
    trusting.trust = Trust::file(&dir.0.join("ca.pem")).unwrap();
    let of_the_system = Poster::new(key).unwrap();
    for (poster, host, is_good) in [
        (&trusting, "receiver.test", true),
        (&trusting, "another.test", false),
        (&of_the_system, "receiver.test", false),
    ] {
        let url = Url::parse(&format!("https://{host}:{}/", address.port())).unwrap();
        let posted = poster.post(&url, &[address], (7, "{}"), 1000).await;
        assert_eq!(posted.is_ok(), is_good, "{host}: {posted:?}");
        assert!(is_good || posted.unwrap_err().starts_with("TLS: "), "{host}");
    }
    let head = heads.recv().await.unwrap();
    assert!(head.contains(&format!("host: receiver.test:{}\r\n", address.port())), "{head}");
    assert!(heads.try_recv().is_err(), "only one arrived");
}
