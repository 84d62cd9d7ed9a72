{{/* Labels by which pods are found: `root`, `component`. */}}
{{- define "kfp.selector" -}}
app.kubernetes.io/name: kubeflow-pipelines
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "kfp.labels" -}}
{{ include "kfp.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mlstacks-dagster
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.marks }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What every pod has: `root`, `user`, `group`. */}}
{{- define "kfp.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .group }}
  fsGroup: {{ .group }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "kfp.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "kfp.image" -}}
{{ .root.Values.images.registry }}/{{ .name }}:{{ .root.Values.images.tag }}
{{- end }}

{{- define "kfp.namespaceEnv" -}}
valueFrom:
  fieldRef:
    fieldPath: metadata.namespace
{{- end }}

{{- define "kfp.bucket" -}}
{{- if not .Values.objectStore.bucket -}}
{{ .Values.objectStore.builtin.bucket }}
{{- else -}}
{{ .Values.objectStore.bucket }}
{{- end -}}
{{- end }}

{{/* Host of the store, without a scheme. */}}
{{- define "kfp.storeHost" -}}
{{- if not .Values.objectStore.bucket -}}
minio-service.{{ .Release.Namespace }}.svc.cluster.local
{{- else -}}
{{ .Values.objectStore.host | required "objectStore.host: name S3's host in the bucket's region, such as s3.eu-north-1.amazonaws.com" }}
{{- end -}}
{{- end }}

{{- define "kfp.pipelineRoot" -}}
{{ ternary "s3" "minio" (ne .Values.objectStore.bucket "") }}://{{ include "kfp.bucket" . }}/{{ .Values.objectStore.prefix }}/v2/artifacts
{{- end }}

{{/* Annotations of one service account: its part of the values. */}}
{{- define "kfp.serviceAccountAnnotations" -}}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A role and its binding: `root`, `component`, `account`, `rules` (YAML). */}}
{{- define "kfp.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .account }}
  labels:
    {{- include "kfp.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .account }}
  labels:
    {{- include "kfp.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .account }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
