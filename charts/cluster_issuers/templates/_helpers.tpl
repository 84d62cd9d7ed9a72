{{- define "issuers.labels" -}}
app.kubernetes.io/name: cluster-issuers
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: certificates
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "issuers.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end }}

{{- define "issuers.kind" -}}
{{- .Values.kind | default (ternary "production" "self-signed" (ne .Values.acme.email "")) -}}
{{- end }}

{{/* The spec of an issuer: `kind` of `root`. */}}
{{- define "issuers.spec" -}}
{{- if eq .kind "self-signed" -}}
selfSigned: {}
{{- else -}}
{{- $acme := .root.Values.acme -}}
acme:
  email: {{ $acme.email | required (printf "acme.email: a %s issuer needs an e-mail address" .kind) }}
  server: {{ ternary $acme.stagingServer $acme.productionServer (eq .kind "staging") }}
  privateKeySecretRef:
    name: {{ include "issuers.name" .root }}-{{ .kind }}-account
  solvers:
    - http01:
        ingress:
          {{- if $acme.ingressClassName }}
          ingressClassName: {{ $acme.ingressClassName }}
          {{- else }} {}
          {{- end }}
{{- end -}}
{{- end }}
