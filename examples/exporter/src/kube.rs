//! How pod names are learnt, as arguments; where Kepler 0.11 has the same one, its name and meaning.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kepler_service::kube::{Mode, Settings};
use kepler_service::url;

use crate::duration::period;

/// Arguments about Kubernetes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct KubeArgs {
    /// Learn the names of pods and containers from Kubernetes
    #[arg(long = "kube.enable", global = true)]
    kube: bool,
    /// Credentials for Kubernetes; those of the pod that this is by default
    #[arg(long = "kube.config", value_name = "FILE", global = true)]
    kube_config: Option<PathBuf>,
    /// Whom to ask for pods
    #[arg(
        long = "kube.pod-informer.mode",
        value_name = "SERVER",
        default_value = "kubelet",
        global = true
    )]
    pod_mode: Mode,
    /// Time between two questions to the kubelet
    #[arg(
        long = "kube.pod-informer.poll-interval",
        value_name = "DURATION",
        default_value = "15s",
        value_parser = period,
        global = true
    )]
    poll_interval: Duration,
    /// Where the kubelet listens, such as https://10.0.0.1:10250; the API server is asked for it by default
    #[arg(long = "kube.kubelet-url", value_name = "URL", value_parser = url, global = true)]
    kubelet: Option<String>,
    /// Certificates that vouch for the kubelet, where the cluster's own do not
    #[arg(long = "kube.kubelet-ca", value_name = "FILE", global = true)]
    kubelet_ca: Option<PathBuf>,
    /// Trust whoever answers in the kubelet's place, and show them the credentials
    #[arg(long = "kube.kubelet-unverified", global = true)]
    kubelet_unverified: bool,
}

impl KubeArgs {
    /// How pod names are learnt on the node of this name; `None` where they are not asked for.
    pub(crate) fn settings(&self, node: &str) -> Option<Settings> {
        self.kube.then(|| Settings {
            mode: self.pod_mode,
            node: node.to_owned(),
            // Kepler 0.11 writes an empty path for none.
            kubeconfig: (self.kube_config.clone()).filter(|path| !path.as_os_str().is_empty()),
            kubelet: self.kubelet.clone(),
            kubelet_ca: self.kubelet_ca.clone(),
            kubelet_unverified: self.kubelet_unverified,
            interval: self.poll_interval,
        })
    }
}
