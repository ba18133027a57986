//! Names of virtual machines by uuid, as libvirt keeps them: `/run/libvirt/qemu/*.xml` of those that run,
//! `/etc/libvirt/qemu/*.xml` of all (<https://libvirt.org/formatdomain.html>).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::host::Host;

const FOLDERS: [&str; 2] = ["run/libvirt/qemu", "etc/libvirt/qemu"];
/// Files of a folder that are looked into, and how far.
const FILES: usize = 1000;
const SIZE: u64 = 256 << 10;
/// The longest name that is believed.
const NAME: usize = 256;

/// The name of the machine with this uuid, where libvirt is there and knows it.
pub(crate) fn name_of(host: &Host, uuid: &str) -> Option<Arc<str>> {
    if !is_uuid(uuid) {
        return None;
    }
    let mut all = roots(host).into_iter().map(|root| -> Vec<PathBuf> {
        let folders = FOLDERS.map(|folder| root.join(folder));
        folders
            .iter()
            .flat_map(|folder| files(host, folder))
            .collect()
    });
    // Mostly both roots are one: nothing is read twice.
    all.find(|files| !files.is_empty())?
        .into_iter()
        .filter_map(|path| host.prefix(path, SIZE).ok())
        .find_map(|bytes| {
            let (of, name) = parse_domain(&String::from_utf8_lossy(&bytes))?;
            of.eq_ignore_ascii_case(uuid).then(|| name.into())
        })
}

/// The machine's own root, which is also seen from within a container that shares its process ids.
fn roots(host: &Host) -> Vec<PathBuf> {
    let mut roots = vec![host.proc("1/root")];
    if host.is_live() {
        roots.push("/".into());
    }
    roots
}

fn files(host: &Host, folder: &Path) -> Vec<PathBuf> {
    let names = host.names(folder).unwrap_or_default().into_iter();
    let definitions = names.filter(|name| name.ends_with(".xml")).take(FILES);
    definitions.map(|name| folder.join(name)).collect()
}

/// Uuid and name of a domain's definition, both of which stand before all that is nested deeper.
fn parse_domain(text: &str) -> Option<(String, String)> {
    let domain = &text[text.find("<domain ").or_else(|| text.find("<domain>"))?..];
    let element = |tag: &str| {
        let (_, rest) = domain.split_once(&format!("<{tag}>"))?;
        let (value, _) = rest.split_once(&format!("</{tag}>"))?;
        let value = plain(value.trim());
        (!value.is_empty() && value.len() <= NAME && !value.contains('<')).then_some(value)
    };
    Some((element("uuid")?, element("name")?))
}

/// The five characters that XML does not take as they are.
fn plain(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    named
        .iter()
        .fold(text.to_owned(), |text, (name, character)| {
            text.replace(name, character)
        })
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";

    fn definition(name: &str) -> String {
        format!(
            "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE\n-->\n<domstatus state='running' pid='7'>\n\
             <domain type='kvm' id='1'>\n  <name>{name}</name>\n  <uuid>{UUID}</uuid>\n\
             <metadata><x:name>other</x:name></metadata></domain></domstatus>"
        )
    }

    #[test]
    fn name_and_uuid_of_a_domain_are_read() {
        let found = |name: &str| parse_domain(&definition(name)).unwrap();
        assert_eq!(found("web"), (UUID.to_owned(), "web".to_owned()));
        assert_eq!(found("a &amp;lt; b").1, "a &lt; b");
        for none in [
            definition(""),
            definition(&"x".repeat(300)),
            definition("<b/>"),
        ] {
            assert_eq!(parse_domain(&none), None);
        }
        assert_eq!(
            parse_domain("<network><name>n</name><uuid>u</uuid></network>"),
            None
        );
    }

    #[test]
    fn a_machine_is_found_where_the_host_keeps_it_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/1/root/etc/libvirt/qemu");
        std::fs::create_dir_all(folder.join("networks")).unwrap();
        std::fs::write(folder.join("web.xml"), definition("web")).unwrap();
        std::fs::write(folder.join("broken.xml"), "<domain ").unwrap();
        std::fs::write(folder.join("web.xml.bak"), definition("bak")).unwrap();
        let host = Host::at(root.path());
        assert_eq!(name_of(&host, UUID).as_deref(), Some("web"));
        assert_eq!(name_of(&host, &UUID.to_uppercase()).as_deref(), Some("web"));
        assert_eq!(name_of(&host, &UUID.replace('4', "5")), None);
        assert_eq!(name_of(&host, "web"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(<domain |<domain>|<name>|</name>|<uuid>|</uuid>|&amp;|é|x){0,20}") {
            let _ = parse_domain(&text);
        }
    }
}
