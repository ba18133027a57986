{{/* Names: release `kepler` gives `kepler`. */}}
{{- define "kepler.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kepler.serverNamespace" -}}
{{- default .Release.Namespace .Values.modelServer.namespace -}}
{{- end -}}

{{/* Where the model server is reached from inside of the cluster. */}}
{{- define "kepler.serverUrl" -}}
http://kepler-model-server.{{ include "kepler.serverNamespace" . }}.svc:{{ .Values.modelServer.service.port }}
{{- end -}}

{{/* What every object carries; selectors use `app` alone, which never changes. */}}
{{- define "kepler.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: kepler
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "kepler.exporterAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kepler.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A digest says all: with one, the tag counts no more. */}}
{{- define "kepler.exporterImage" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{ .Values.image.repository }}:{{ $tag }}{{ if .Values.exporter.nonRoot }}{{ .Values.exporter.nonRootTagSuffix }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "kepler.serverImage" -}}
{{- with .Values.modelServer.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A value as text, quoted: a number of a file is a float to Helm, whose millions would be written 1e+06. */}}
{{- define "kepler.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . | quote -}}
{{- else -}}
{{- . | quote -}}
{{- end -}}
{{- end -}}

{{/* Variables by name: a value, or where it comes from (valueFrom). */}}
{{- define "kepler.variables" -}}
{{- range $name, $value := . }}
- name: {{ $name | quote }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ include "kepler.text" $value }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Of which pods Prometheus reads metrics, where it goes by annotations. */}}
{{- define "kepler.scrape" -}}
{{- if .root.Values.scrape.annotations -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- end -}}
{{- end -}}

{{/* The exporter's rights; an older chart's securityContext lies over them. */}}
{{- define "kepler.exporterRights" -}}
{{- $rights := dict "privileged" false "readOnlyRootFilesystem" true "allowPrivilegeEscalation" false "runAsUser" 0
    "capabilities" (dict "drop" (list "ALL") "add" .Values.exporter.capabilities) -}}
{{- if .Values.exporter.nonRoot -}}
{{- /* File capabilities count only where an executable may have more rights than who starts it. */ -}}
{{- $rights = mergeOverwrite $rights (dict "runAsUser" 1000 "runAsGroup" 1000 "runAsNonRoot" true "allowPrivilegeEscalation" true) -}}
{{- end -}}
{{- $rights = mergeOverwrite $rights (deepCopy .Values.securityContext) -}}
{{- if $rights.privileged -}}
{{- $_ := unset $rights "allowPrivilegeEscalation" -}}
{{- end -}}
{{- toYaml $rights -}}
{{- end -}}

{{/* The exporter's settings: what the chart knows, under what the user says. */}}
{{- define "kepler.exporterConfig" -}}
{{- $pods := .Values.exporter.pods -}}
{{- $listen := list (printf ":%v" .Values.service.port) -}}
{{- if .Values.exporter.https.enabled -}}
{{- $listen = list (printf "http://:%v" .Values.service.port) (printf "https://:%v" .Values.exporter.https.port) -}}
{{- end -}}
{{- $ours := dict
    "host" (dict "procfs" "/host/proc" "sysfs" "/host/sys")
    "web" (dict "listenAddresses" $listen)
    "kube" (dict "enabled" (ne $pods "none")) -}}
{{- if ne $pods "none" -}}
{{- $_ := set $ours.kube "podInformer" (dict "mode" $pods) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $ours (deepCopy .Values.exporter.config)) -}}
{{- end -}}

{{/* The model server that exporters ask; empty for none. */}}
{{- define "kepler.exporterModels" -}}
{{- $asked := .Values.exporter.modelServer -}}
{{- if and (eq $asked "own") .Values.modelServer.enabled -}}
{{- include "kepler.serverUrl" . -}}
{{- else if not (has $asked (list "own" "none")) -}}
{{- $asked -}}
{{- end -}}
{{- end -}}

{{/* Prometheus's web configuration: empty where nothing is asked for. */}}
{{- define "kepler.webConfig" -}}
{{- $https := .Values.exporter.https -}}
{{- $web := dict -}}
{{- if and $https.enabled $https.certificateSecret -}}
{{- $_ := set $web "tls_server_config" (dict "cert_file" "/etc/kepler-certificate/tls.crt" "key_file" "/etc/kepler-certificate/tls.key") -}}
{{- end -}}
{{- with $https.basicAuthUsers -}}
{{- $_ := set $web "basic_auth_users" . -}}
{{- end -}}
{{- with $web -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* What ingress-nginx is told; modelServer.ingress.annotations lie over it. */}}
{{- define "kepler.ingressLimits" -}}
nginx.ingress.kubernetes.io/limit-rps: {{ .rateLimit | quote }}
nginx.ingress.kubernetes.io/proxy-body-size: {{ .bodySize | quote }}
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ .timeoutSeconds | quote }}
nginx.ingress.kubernetes.io/proxy-send-timeout: {{ .timeoutSeconds | quote }}
nginx.ingress.kubernetes.io/ssl-redirect: {{ .sslRedirect | quote }}
{{- end -}}

{{/* The models that are expected, as `pull` and `check` read them. */}}
{{- define "kepler.manifest" -}}
{{- toYaml (dict "models" .Values.modelServer.models) -}}
{{- end -}}

{{- define "kepler.adminSecret" -}}
{{- default "kepler-model-server-admin" .Values.modelServer.adminTokenSecret -}}
{{- end -}}

{{/* The rights of what needs none. */}}
{{- define "kepler.noRights" -}}
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods of the model server and of its checks may run. */}}
{{- define "kepler.serverPlace" -}}
{{- with .Values.modelServer.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.modelServer.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.modelServer.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "kepler.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
