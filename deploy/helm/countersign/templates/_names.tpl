{{/* The name that everything of a release begins with: at most 40 characters, as others are made of it. */}}
{{- define "countersign.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "countersign.webhook" -}}
{{- printf "%s-webhook" (include "countersign.fullname" .) -}}
{{- end -}}

{{- define "countersign.audit" -}}
{{- printf "%s-audit" (include "countersign.fullname" .) -}}
{{- end -}}

{{/* The Secret with the authorities that replicas share, or cert-manager's certificate. */}}
{{- define "countersign.secret" -}}
{{- printf "%s-%s" (include "countersign.webhook" .) (ternary "certificate" "authorities" .Values.certManager.enabled) -}}
{{- end -}}

{{- define "countersign.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* What selects the pods of a component; called with a dict of root and component. */}}
{{- define "countersign.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "countersign.labels" -}}
{{ include "countersign.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What every container of ours has: the level restricted allows it. */}}
{{- define "countersign.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "countersign.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
