//! Tests of the URL guard: addresses, ranges, URLs.

use super::*;

#[test]
fn only_public_addresses_pass_by_themselves() {
    let table = [
        ("8.8.8.8", true),
        ("93.184.216.34", true),
        ("172.32.0.1", true),
        ("100.128.0.1", true),
        ("2606:4700::1111", true),
        ("64:ff9b::808:808", true),
        ("2002:808:808::1", true),
        ("::ffff:8.8.8.8", true),
        ("127.0.0.1", false),
        ("127.255.255.254", false),
        ("0.0.0.0", false),
        ("0.1.2.3", false),
        ("10.1.2.3", false),
        ("172.16.0.1", false),
        ("172.31.255.255", false),
        ("192.168.1.1", false),
        ("169.254.169.254", false),
        ("100.64.0.1", false),
        ("100.100.100.200", false),
        ("198.18.0.1", false),
        ("224.0.0.1", false),
        ("239.255.255.255", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("::", false),
        ("::1", false),
        ("::127.0.0.1", false),
        ("::ffff:127.0.0.1", false),
        ("::ffff:169.254.169.254", false),
        ("64:ff9b::7f00:1", false),
        ("64:ff9b::a9fe:a9fe", false),
        ("64:ff9b:1::1", false),
        ("2002:7f00:1::", false),
        ("2001::1", false),
        ("2001:db8::1", false),
        ("fc00::1", false),
        ("fd00:ec2::254", false),
        ("fe80::1", false),
        ("fec0::1", false),
        ("ff02::1", false),
    ];
    for (address, public) in table {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(AllowList::default().permits(address), public, "{address}");
    }
}

#[test]
fn ranges_open_what_they_say() {
    let table = [
        ("127.0.0.0/8", "127.0.0.1", true),
        ("127.0.0.0/8", "::ffff:127.0.0.1", true),
        ("::ffff:127.0.0.0/104", "127.9.9.9", true),
        ("127.0.0.0/8,::1/128", "::1", true),
        (" 10.0.0.0/8 , 192.168.7.0/24", "192.168.7.255", true),
        ("192.168.7.0/24", "192.168.8.0", false),
        ("10.0.0.7", "10.0.0.7", true),
        ("10.0.0.7", "10.0.0.8", false),
        ("0.0.0.0/0", "169.254.169.254", true),
        ("0.0.0.0/0", "fe80::1", false),
        ("::/0", "fe80::1", true),
        ("", "127.0.0.1", false),
    ];
    for (ranges, address, permitted) in table {
        let list = AllowList::parse(ranges).unwrap();
        assert_eq!(list.permits(address.parse().unwrap()), permitted, "{ranges} {address}");
    }
    for bad in ["127.0.0.0/33", "::1/129", "localhost", "10.0.0.0/", "10.0.0/8"] {
        assert!(AllowList::parse(bad).unwrap_err().contains(bad), "{bad}");
    }
}

#[test]
fn urls_are_refused_or_rewritten() {
    let local = AllowList::parse("127.0.0.0/8,::1").unwrap();
    let (live, file, relay) = (UrlUse::Live, UrlUse::File, UrlUse::Relay);
    // Ok: the URL that FFmpeg gets; Err: a part of the message.
    let table = [
        (live, "rtmp://127.0.0.1/live/key?k=1", Ok("rtmp://127.0.0.1:1935/live/key?k=1")),
        (live, "rtmp://u:p@127.0.0.1:19/a/b/c", Ok("rtmp://u:p@127.0.0.1:19/a/b/c")),
        (live, "srt://[::1]:9000?streamid=x", Ok("srt://[::1]:9000?streamid=x")),
        (live, "http://127.0.0.1:8/a.flv", Ok("http://127.0.0.1:8/a.flv")),
        (file, "https://127.0.0.1/a.mp4", Ok("https://127.0.0.1/a.mp4")),
        (live, "rtmp://10.0.0.1/live/key", Err("10.0.0.1")),
        (live, "http://169.254.169.254/latest/meta-data", Err("169.254.169.254")),
        (live, "http://[::ffff:10.0.0.1]/", Err("not allowed")),
        (live, "http://0x0a000001/", Err("10.0.0.1")),
        (live, "http://0.0.0.0/", Err("0.0.0.0")),
        (live, "file:///etc/passwd", Err("file is none of")),
        (live, "concat:a|b", Err("concat is none of")),
        (live, "rtsp://127.0.0.1/x", Err("rtsp is none of")),
        (file, "rtmp://127.0.0.1/live/key", Err("rtmp is none of")),
        (live, "srt://127.0.0.1:9000?mode=listener", Err("caller")),
        (live, "srt://127.0.0.1", Err("no port")),
        (live, "no url", Err("no URL")),
        (relay, "rtmps://127.0.0.1/a/b", Ok("rtmps://127.0.0.1/a/b")),
        (relay, "rtmps://10.0.0.1/a/b", Err("10.0.0.1")),
        (relay, "srt://127.0.0.1:9?streamid=x", Ok("srt://127.0.0.1:9?streamid=x")),
        (relay, "srt://127.0.0.1:9?mode=listener", Err("caller")),
        (relay, "https://127.0.0.1/a", Err("https is none of")),
    ];
    for (usage, text, want) in table {
        match (admit(text, usage, &local, &StopToken::new()), want) {
            (Ok(admitted), Ok(url)) => assert_eq!(admitted.url, url, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (Ok(_), Err(part)) => panic!("{text} was admitted, not refused for {part}"),
            (Err(error), Ok(_)) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn an_rtmp_server_is_told_the_name() {
    let local = AllowList::parse("127.0.0.0/8,::1").unwrap();
    let table = [
        ("rtmp://localhost/live/key", "rtmp://localhost/live"),
        ("rtmp://localhost:1936/app/inst/key", "rtmp://localhost:1936/app/inst"),
    ];
    for (url, want) in table {
        let admitted = admit(url, UrlUse::Live, &local, &StopToken::new()).unwrap();
        assert!(!admitted.url.contains("localhost"), "{}", admitted.url);
        assert!(admitted.options.contains(&("rtmp_tcurl", want.to_owned())), "{url}");
    }
}
