{{- define "mlflow.selector" -}}
app.kubernetes.io/name: mlflow
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mlflow.labels" -}}
{{ include "mlflow.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: tracking-server
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "mlflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Where the server keeps artifacts: a bucket, else its volume. */}}
{{- define "mlflow.artifacts" -}}
{{- $bucket := .Values.artifacts.bucket | default .Values.artifacts.stackBucket -}}
{{- ternary (printf "s3://%s/%s" $bucket .Values.artifacts.prefix) "/data/artifacts" (ne $bucket "") -}}
{{- end }}

{{- define "mlflow.allowedHosts" -}}
{{- $ns := .Release.Namespace -}}
{{- $hosts := list "localhost" "127.0.0.1" .Release.Name (printf "%s.%s" .Release.Name $ns) (printf "%s.%s.svc" .Release.Name $ns) (printf "%s.%s.svc.cluster.local" .Release.Name $ns) -}}
{{- $all := list -}}
{{- range $hosts -}}
{{- $all = append (append $all .) (printf "%s:*" .) -}}
{{- end -}}
{{- if .Values.ingress.host -}}
{{- $all = append (append $all .Values.ingress.host) (printf "%s:*" .Values.ingress.host) -}}
{{- end -}}
{{- join "," (concat $all .Values.server.allowedHosts) -}}
{{- end }}
