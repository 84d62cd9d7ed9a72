{{- /* Shared by all stand-ins. Arguments: root, name, and what is named below. */ -}}

{{- define "standin.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "standin.labels" -}}
{{ include "standin.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* image; optional: account, args, container, env, labels, podLabels, ports, resources */ -}}
{{- define "standin.pod" -}}
metadata:
  labels:
    {{- include "standin.selector" . | nindent 4 }}
    {{- with .podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .account | default .name }}
  securityContext:
    {{- toYaml (.podSecurity | default (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault"))) | nindent 4 }}
  containers:
    - name: {{ .container | default .name }}
      image: {{ .image }}
      {{- with .args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .env }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .ports }}
      ports:
        {{- range $name, $port := . }}
        - name: {{ $name }}
          containerPort: {{ $port }}
        {{- end }}
      {{- end }}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml (.security | default (dict "allowPrivilegeEscalation" false)) | nindent 8 }}
      {{- with .mounts }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with .volumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "standin.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "standin.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas | default 1 | int }}
  selector:
    matchLabels:
      {{- include "standin.selector" . | nindent 6 }}
  template:
    {{- include "standin.pod" . | nindent 4 }}
{{- end }}

{{- /* ports; optional: annotations, labels, select, type */ -}}
{{- define "standin.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .service | default .name }}
  labels:
    {{- include "standin.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .type | default "ClusterIP" }}
  selector:
    {{- include "standin.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - name: {{ $name }}
      port: {{ index $port 0 }}
      targetPort: {{ index $port 1 }}
      protocol: TCP
    {{- end }}
{{- end }}

{{- define "standin.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .account | default .name }}
  labels:
    {{- include "standin.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* rules; optional: cluster (true for the whole cluster), namespace, suffix */ -}}
{{- define "standin.rights" -}}
{{- $name := printf "%s%s" .name (.suffix | default "") -}}
{{- $kind := ternary "ClusterRole" "Role" (.cluster | default false) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "standin.labels" . | nindent 4 }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "standin.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account | default .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- /* A self-signed certificate of cert-manager for the Service. */ -}}
{{- define "standin.certificate" -}}
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: {{ .name }}-selfsigned
  labels:
    {{- include "standin.labels" . | nindent 4 }}
spec:
  selfSigned: {}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .name }}-serving
  labels:
    {{- include "standin.labels" . | nindent 4 }}
spec:
  dnsNames:
    - {{ .service }}.{{ .root.Release.Namespace }}.svc
  issuerRef:
    kind: Issuer
    name: {{ .name }}-selfsigned
  secretName: {{ .service }}-tls
{{- end }}

{{- /* Tags as the AWS controllers take them, sorted: a=b,c=d */ -}}
{{- define "standin.tags" -}}
{{- $parts := list -}}
{{- range $key := keys . | sortAlpha -}}
{{- $parts = append $parts (printf "%s=%s" $key (get $ $key)) -}}
{{- end -}}
{{- join "," $parts -}}
{{- end }}
