{{- define "ta.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 44 characters, so that "-worker-maintenance" still fits into a name. */}}
{{- define "ta.fullname" -}}
{{- $name := include "ta.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 44 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 44 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "ta.selector" -}}
app.kubernetes.io/name: {{ include "ta.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ta.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "ta.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ta.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "ta.secret" -}}
{{ .Values.secret.existingSecret | default (include "ta.fullname" .) }}
{{- end }}

{{- define "ta.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "ta.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* Where things are inside the container, whatever `settings` say. */}}
{{- define "ta.env" -}}
- {name: DATA_DIR, value: /data}
- {name: OUTPUT_DIR, value: /data/output}
- {name: HOST, value: 0.0.0.0}
- {name: PORT, value: "8000"}
{{- end }}

{{/* A Deployment. In: root, component (its name), command, replicas (nil: a HorizontalPodAutoscaler's), strategy, of
(resources and terminationGracePeriodSeconds), isWeb (it has the port and the probes). */}}
{{- define "ta.deployment" -}}
{{- $root := .root }}
{{- $values := .root.Values }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "ta.fullname" $root }}-{{ .component }}
  labels:
    {{- include "ta.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if $values.stopped }}
  replicas: 0
  {{- else if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    {{- toYaml .strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "ta.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "ta.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      annotations:
        # Other settings or files start the pods anew. A Secret of your own does not: kubectl rollout restart.
        checksum/config: {{ list $values.settings $values.secret $values.configFiles $values.secretFiles $values.ingress | toJson | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "ta.serviceAccount" $root }}
      automountServiceAccountToken: false
      # A Service named smtp would set SMTP_PORT.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .of.terminationGracePeriodSeconds }}
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml $values.podSecurityContext | nindent 8 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .isWeb }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "ta.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "ta.image" $root | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: {{ toJson .command }}
          envFrom:
            - configMapRef: {name: {{ include "ta.fullname" $root }}}
            - secretRef: {name: {{ include "ta.secret" $root }}}
          env:
            {{- include "ta.env" $root | nindent 12 }}
          {{- if .isWeb }}
          ports:
            - {name: http, containerPort: 8000}
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          # Its database can be used, and is of this version; not Redis, without which deliveries are taken all the same.
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 3
          lifecycle:
            preStop:
              exec: {command: [sleep, "5"]}
          {{- end }}
          resources:
            {{- toYaml .of.resources | nindent 12 }}
          securityContext:
            {{- toYaml $values.securityContext | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            {{- if not $values.persistence.enabled }}
            - {name: session-key, mountPath: /data/session_key, subPath: session_key, readOnly: true}
            {{- end }}
            {{- if $values.configFiles }}
            - {name: files, mountPath: /etc/ticket-attribution/files, readOnly: true}
            {{- end }}
            {{- if or $values.secretFiles.existingSecret $values.secretFiles.values }}
            - {name: secret-files, mountPath: /etc/ticket-attribution/secret-files, readOnly: true}
            {{- end }}
      volumes:
        - name: data
          {{- if $values.persistence.enabled }}
          persistentVolumeClaim:
            claimName: {{ $values.persistence.existingClaim | default (include "ta.fullname" $root) }}
          {{- else }}
          emptyDir: {}
          {{- end }}
        - name: tmp
          emptyDir: {}
        {{- if not $values.persistence.enabled }}
        - name: session-key
          secret:
            secretName: {{ include "ta.secret" $root }}
            defaultMode: 0400
            items:
              - {key: session_key, path: session_key}
        {{- end }}
        {{- if $values.configFiles }}
        - name: files
          configMap:
            name: {{ include "ta.fullname" $root }}-files
        {{- end }}
        {{- if or $values.secretFiles.existingSecret $values.secretFiles.values }}
        - name: secret-files
          secret:
            secretName: {{ $values.secretFiles.existingSecret | default (printf "%s-files" (include "ta.fullname" $root)) }}
            defaultMode: 0400
        {{- end }}
{{- end }}
