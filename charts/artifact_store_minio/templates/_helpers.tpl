{{- define "minio.selector" -}}
app.kubernetes.io/name: minio
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "minio.labels" -}}
{{ include "minio.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: object-store
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "minio.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "minio.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}
