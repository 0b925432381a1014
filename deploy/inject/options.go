package inject

// Options say how the sidecar is to be.
type Options struct {
	// Version is that of the program that injects, for StatusAnnotation.
	Version string
	// Image is the sidecar's, and PullPolicy Always, IfNotPresent, Never or empty.
	Image, PullPolicy string
	// Sensor is proxy or ebpf.
	Sensor string
	// Port is the name or number of the API's port; empty finds it.
	Port string
	// Listen is the port that clients reach in Port's stead, Admin that of the
	// admin API, on loopback unless Metrics publishes it on the pod's address.
	Listen, Admin int32
	Metrics       bool
	// Native makes an init container that keeps running, which clusters from 1.29 on have; else it is
	// an ordinary container.
	Native bool
	// Ledger is auto or emptyDir. Auto asks for a volume of each pod's own where a
	// StatefulSet's manifest is at hand.
	Ledger string
	// LedgerClaim is the PersistentVolumeClaim for the ledger; empty for none.
	LedgerClaim string
	// LedgerSize and LedgerClass are for a StatefulSet's volumes.
	LedgerSize, LedgerClass string
	// CPURequest and the like are quantities; empty leaves them out.
	CPURequest, CPULimit, MemoryRequest, MemoryLimit string
	// Config is a ConfigMap with countersign.yaml, Policy one with policy.yaml, Secret a
	// Secret: each is mounted; empty for none.
	Config, Policy, Secret string
	// ApprovalPort opens the public listener; 0 does not.
	ApprovalPort int32
	// Settings are those of countersign run, by their flags' names.
	Settings map[string]string
}

// Defaults are the options of a pod that says nothing.
func Defaults() Options {
	return Options{
		Image: "countersign:latest", Sensor: "proxy", Listen: 15080, Admin: 15081, Native: true, Ledger: "auto", LedgerSize: "1Gi",
		CPURequest: "20m", MemoryRequest: "64Mi", MemoryLimit: "128Mi",
	}
}
