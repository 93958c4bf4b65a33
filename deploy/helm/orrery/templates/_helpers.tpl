{{- define "orrery.name" -}}
{{- if contains "orrery" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-orrery" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "orrery.selector" -}}
app.kubernetes.io/name: orrery
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "orrery.labels" -}}
{{ include "orrery.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "orrery.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* What others call a pod, by the name that it has in its environment. */}}
{{- define "orrery.host" -}}
$(ORRERY_NODE__NAME).{{ include "orrery.name" . }}-nodes.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{- /* All by which a client may call it. */}}
{{- define "orrery.hosts" -}}
{{- $name := include "orrery.name" . }}
{{- $hosts := list (include "orrery.host" .) "localhost" "127.0.0.1" }}
{{- range $service := list "mqtt" "api" }}
{{- $short := printf "%s-%s" $name $service }}
{{- $hosts = concat $hosts (list $short (printf "%s.%s" $short $.Release.Namespace) (printf "%s.%s.svc" $short $.Release.Namespace) (printf "%s.%s.svc.%s" $short $.Release.Namespace $.Values.clusterDomain)) }}
{{- end }}
{{- join "," (concat $hosts .Values.tls.hosts) }}
{{- end }}
