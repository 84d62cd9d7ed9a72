{{- define "workspace.labels" -}}
app.kubernetes.io/name: seldon-workspace
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}
