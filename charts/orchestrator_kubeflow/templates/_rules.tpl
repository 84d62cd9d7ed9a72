{{/* Rights of api-server. */}}
{{- define "kfp.apiServerRules" }}
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [create, get, list, watch, update, patch, delete]
- apiGroups: [kubeflow.org]
  resources: [scheduledworkflows]
  verbs: [create, get, list, update, patch, delete]
- apiGroups: [kubeflow.org]
  resources: [scheduledworkflows/finalizers]
  verbs: [update]
{{- if not .Values.objectStore.bucket }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.objectStore.builtin.existingSecret }}]
  verbs: [get]
{{- end }}
{{- end }}

{{/* Rights of metadata-writer. */}}
{{- define "kfp.metadataWriterRules" }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, update, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch, update, patch]
{{- end }}

{{/* Rights of persistence-agent. */}}
{{- define "kfp.persistenceAgentRules" }}
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch]
- apiGroups: [kubeflow.org]
  resources: [scheduledworkflows]
  verbs: [get, list, watch]
- apiGroups: [pipelines.kubeflow.org]
  resources: [scheduledworkflows, workflows]
  verbs: [report]
- apiGroups: [pipelines.kubeflow.org]
  resources: [runs]
  verbs: [reportMetrics, readArtifact]
{{- end }}

{{/* Rights of pipeline-runner. */}}
{{- define "kfp.runnerRules" }}
- apiGroups: [argoproj.io]
  resources: [workflowtaskresults]
  verbs: [create, patch]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [create, get, list, watch, delete]
{{- if not .Values.objectStore.bucket }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.objectStore.builtin.existingSecret }}]
  verbs: [get]
{{- end }}
{{- end }}

{{/* Rights of scheduled-workflow. */}}
{{- define "kfp.scheduledWorkflowRules" }}
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [create, get, list, watch, update, patch, delete]
- apiGroups: [kubeflow.org]
  resources: [scheduledworkflows, scheduledworkflows/finalizers]
  verbs: [create, get, list, watch, update, patch, delete]
- apiGroups: [pipelines.kubeflow.org]
  resources: [runs]
  verbs: [create]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Rights of ui. */}}
{{- define "kfp.uiRules" }}
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [kfp-launcher, ml-pipeline-ui-configmap]
  verbs: [get]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list]
{{- if .Values.viewer.enabled }}
- apiGroups: [kubeflow.org]
  resources: [viewers]
  verbs: [create, get, list, watch, delete]
{{- end }}
{{- if not .Values.objectStore.bucket }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.objectStore.builtin.existingSecret }}]
  verbs: [get]
{{- end }}
{{- end }}

{{/* Rights of viewer. */}}
{{- define "kfp.viewerRules" }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, get, list, watch, update, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [create, get, list, watch, update, patch, delete]
- apiGroups: [kubeflow.org]
  resources: [viewers, viewers/finalizers]
  verbs: [create, get, list, watch, update, patch, delete]
{{- end }}
