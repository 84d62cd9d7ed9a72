{{- define "tekton.labels" -}}
app.kubernetes.io/name: tekton-config
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: pipelines
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}
