package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// The structs below are what is looked at of a pod, and what is written of
// the sidecar. Their fields mean what those of the same names in k8s.io/api/core/v1 do.

type pod struct {
	Kind     string    `json:"kind"`
	Metadata *metadata `json:"metadata"`
	Spec     podSpec   `json:"spec"`

	bare bool // without metadata
}

type metadata struct {
	Name              string            `json:"name"`
	GenerateName      string            `json:"generateName"`
	Namespace         string            `json:"namespace"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	OwnerReferences   []ownerReference  `json:"ownerReferences"`
	DeletionTimestamp string            `json:"deletionTimestamp"` // empty unless it is being deleted
}

type ownerReference struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

type podSpec struct {
	InitContainers  []container                  `json:"initContainers"`
	Containers      []container                  `json:"containers"`
	Volumes         []map[string]json.RawMessage `json:"volumes"`
	RestartPolicy   string                       `json:"restartPolicy"`
	HostNetwork     bool                         `json:"hostNetwork"`
	NodeSelector    map[string]string            `json:"nodeSelector"`
	OS              *podOS                       `json:"os"`
	SecurityContext *podSecurity                 `json:"securityContext"`
	Affinity        *affinity                    `json:"affinity"`
	Resources       *resources                   `json:"resources"` // of all containers together, from Kubernetes 1.34 on
}

type podOS struct {
	Name string `json:"name"`
}

type podSecurity struct {
	FSGroup             *int64    `json:"fsGroup"`
	FSGroupChangePolicy *string   `json:"fsGroupChangePolicy"`
	WindowsOptions      *struct{} `json:"windowsOptions"`
}

type affinity struct {
	Node *struct {
		Required *struct {
			Terms []struct {
				Expressions []expression `json:"matchExpressions"`
			} `json:"nodeSelectorTerms"`
		} `json:"requiredDuringSchedulingIgnoredDuringExecution"`
	} `json:"nodeAffinity"`
}

type expression struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// container is one of the pod's, or the sidecar.
type container struct {
	Name            string     `json:"name"`
	Image           string     `json:"image,omitempty"`
	ImagePullPolicy string     `json:"imagePullPolicy,omitempty"`
	RestartPolicy   string     `json:"restartPolicy,omitempty"`
	Args            []string   `json:"args,omitempty"`
	Env             []variable `json:"env,omitempty"`
	Ports           []port     `json:"ports,omitempty"`
	Resources       *resources `json:"resources,omitempty"`
	StartupProbe    *probe     `json:"startupProbe,omitempty"`
	LivenessProbe   *probe     `json:"livenessProbe,omitempty"`
	ReadinessProbe  *probe     `json:"readinessProbe,omitempty"`
	Lifecycle       *lifecycle `json:"lifecycle,omitempty"`
	SecurityContext *security  `json:"securityContext,omitempty"`
	VolumeMounts    []mount    `json:"volumeMounts,omitempty"`
}

type variable struct {
	Name      string     `json:"name"`
	Value     string     `json:"value,omitempty"`
	ValueFrom *valueFrom `json:"valueFrom,omitempty"`
}

type valueFrom struct {
	FieldRef     *fieldRef `json:"fieldRef,omitempty"`
	SecretKeyRef *keyRef   `json:"secretKeyRef,omitempty"`
}

type fieldRef struct {
	FieldPath string `json:"fieldPath"`
}

type keyRef struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional bool   `json:"optional"`
}

type port struct {
	Name          string `json:"name,omitempty"`
	ContainerPort int32  `json:"containerPort"`
	HostPort      int32  `json:"hostPort,omitempty"`
	Protocol      string `json:"protocol,omitempty"`
}

func (p port) tcp() bool { return p.Protocol == "" || p.Protocol == "TCP" }

// String is the port as a person would ask for it.
func (p port) String() string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.ContainerPort))
}

type resources struct {
	Requests map[string]quantity `json:"requests,omitempty"`
	Limits   map[string]quantity `json:"limits,omitempty"`
}

type probe struct {
	Exec             *execAction `json:"exec,omitempty"`
	HTTPGet          *portAction `json:"httpGet,omitempty"`
	TCPSocket        *portAction `json:"tcpSocket,omitempty"`
	GRPC             *portAction `json:"grpc,omitempty"`
	PeriodSeconds    int         `json:"periodSeconds,omitempty"`
	TimeoutSeconds   int         `json:"timeoutSeconds,omitempty"`
	FailureThreshold int         `json:"failureThreshold,omitempty"`
}

type execAction struct {
	Command []string `json:"command,omitempty"`
}

type portAction struct {
	Path   string    `json:"path,omitempty"`
	Scheme string    `json:"scheme,omitempty"`
	Port   portValue `json:"port"`
}

type lifecycle struct {
	PostStart *handler `json:"postStart,omitempty"`
	PreStop   *handler `json:"preStop,omitempty"`
}

type handler struct {
	HTTPGet   *portAction `json:"httpGet,omitempty"`
	TCPSocket *portAction `json:"tcpSocket,omitempty"`
}

type security struct {
	AllowPrivilegeEscalation *bool           `json:"allowPrivilegeEscalation,omitempty"`
	Capabilities             *capabilities   `json:"capabilities,omitempty"`
	ReadOnlyRootFilesystem   *bool           `json:"readOnlyRootFilesystem,omitempty"`
	RunAsGroup               *int64          `json:"runAsGroup,omitempty"`
	RunAsNonRoot             *bool           `json:"runAsNonRoot,omitempty"`
	RunAsUser                *int64          `json:"runAsUser,omitempty"`
	SeccompProfile           *seccompProfile `json:"seccompProfile,omitempty"`
}

type capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

type seccompProfile struct {
	Type string `json:"type"`
}

type mount struct {
	Name        string `json:"name"`
	MountPath   string `json:"mountPath"`
	SubPathExpr string `json:"subPathExpr,omitempty"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
}

// volume is one that the sidecar adds.
type volume struct {
	Name      string        `json:"name"`
	EmptyDir  *struct{}     `json:"emptyDir,omitempty"`
	Claim     *claimSource  `json:"persistentVolumeClaim,omitempty"`
	ConfigMap *configSource `json:"configMap,omitempty"`
	Secret    *secretSource `json:"secret,omitempty"`
}

type claimSource struct {
	ClaimName string `json:"claimName"`
}

type configSource struct {
	Name string `json:"name"`
}

type secretSource struct {
	SecretName string `json:"secretName"`
}

// quantity is an amount such as 100m or 1Gi, which a manifest may also write as a number.
type quantity string

func (q *quantity) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*q = quantity(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("%s is not an amount", data)
	}
	*q = quantity(n)
	return nil
}

// portValue is a port's number, or the name of one of the same container's.
type portValue struct {
	Number int32
	Name   string
}

func (p *portValue) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &p.Number); err == nil {
		return nil
	}
	if err := json.Unmarshal(data, &p.Name); err != nil {
		return fmt.Errorf("%s is not a port", data)
	}
	return nil
}

func (p portValue) MarshalJSON() ([]byte, error) {
	if p.Name != "" {
		return json.Marshal(p.Name)
	}
	return json.Marshal(p.Number)
}

// all are the containers, those that run before the others first.
func (p *pod) all() []container {
	return slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
}

// decode reads a pod or a pod's template.
func decode(data []byte) (*pod, error) {
	var p pod
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("cannot read the pod: %w", err)
	}
	if p.Metadata == nil {
		p.Metadata, p.bare = &metadata{}, true
	}
	if len(p.Spec.Containers) == 0 {
		return nil, &Refusal{"the pod has no containers", "give it one"}
	}
	return &p, nil
}
