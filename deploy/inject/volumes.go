package inject

import (
	"encoding/json"
	"fmt"
	"slices"
)

// The volumes that the sidecar mounts.
const (
	ledgerVolume = "countersign-ledger"
	configVolume = "countersign-config"
	policyVolume = "countersign-policy"
	secretVolume = "countersign-secret"
)

// The values of Options.Ledger.
const (
	ledgerAuto     = "auto"
	ledgerEmptyDir = "emptyDir"
)

// podName is the variable with the pod's name, by which pods that share a claim keep apart.
const podName = "POD_NAME"

// keeping is how the ledger is kept.
type keeping struct {
	mount    mount
	volume   *volume         // nil where a claim template stands for it
	template json.RawMessage // nil for none
	fsGroup  bool            // the pod is to get one, so that the volume can be written
	warning  string
}

// keepLedger decides where the ledger goes.
func keepLedger(p *pod, owner Owner, o Options) (keeping, error) {
	k := keeping{mount: mount{Name: ledgerVolume, MountPath: dataPath}}
	perPod := owner.Kind == "StatefulSet"
	if o.LedgerClaim == "" && (o.Ledger == ledgerEmptyDir || !perPod || !owner.Manifest) {
		k.volume = &volume{Name: ledgerVolume, EmptyDir: &struct{}{}}
		if o.Ledger == ledgerAuto {
			k.warning = "the ledger is in an emptyDir and ends with the pod: name a PersistentVolumeClaim with the annotation " + Prefix + "ledger-claim to keep it, or accept this with " + Prefix + "ledger: emptyDir"
		}
		return k, nil
	}
	writable, fsGroup := k.writable(p, o)
	k.fsGroup = fsGroup
	switch {
	case !writable && o.LedgerClaim != "":
		return k, &Refusal{"the sidecar's user could not write to the claim " + o.LedgerClaim + ", as the pod has no fsGroup, and one would change the group of its other volumes",
			"give the pod a securityContext.fsGroup that suits them, or the ledger an emptyDir"}
	case !writable:
		k.volume = &volume{Name: ledgerVolume, EmptyDir: &struct{}{}}
		k.warning = "the ledger is in an emptyDir and ends with the pod: a volume could not be written to, as the pod has no fsGroup, and one would change the group of its other volumes; give it one that suits them"
		return k, nil
	case o.LedgerClaim == "":
		k.template = claimTemplate(o)
		k.warning = "the StatefulSet gets a volume for each pod's ledger, which Kubernetes does not add to one that exists: delete it first with --cascade=orphan, or give the ledger an emptyDir with " + Prefix + "ledger: emptyDir"
		return k, nil
	}
	k.volume = &volume{Name: ledgerVolume, Claim: &claimSource{o.LedgerClaim}}
	switch {
	case perPod:
		k.mount.SubPathExpr = "$(" + podName + ")"
	case owner.Replicas != nil && *owner.Replicas > 1 || owner.Kind == "DaemonSet":
		return k, &Refusal{fmt.Sprintf("several pods of the %s would write to one ledger on the claim %s, and only one can", owner.Kind, o.LedgerClaim),
			"run one replica, make it a StatefulSet, or give the ledger an emptyDir"}
	case !slices.Contains([]string{"Pod", "Job", "CronJob"}, owner.Kind):
		k.warning = "one pod at a time can write to the ledger on the claim " + o.LedgerClaim + ": let the " + owner.kind() + " have one replica and replace it with the strategy Recreate"
	}
	return k, nil
}

// writable says whether the sidecar's user can write to a volume, and whether the pod
// needs an fsGroup for that.
func (k keeping) writable(p *pod, o Options) (writable, fsGroup bool) {
	if o.security().RunAsUser != nil && *o.security().RunAsUser == 0 || p.Spec.SecurityContext != nil && p.Spec.SecurityContext.FSGroup != nil {
		return true, false
	}
	return !p.ownsFiles(), true
}

// ownsFiles says whether the pod has volumes whose files an fsGroup would
// change for good: any but those that are made anew for each pod. Volumes that are
// mounted and not declared come from claim templates.
func (p *pod) ownsFiles() bool {
	var known []string
	for _, v := range p.Spec.Volumes {
		var name string
		_ = json.Unmarshal(v["name"], &name)
		known = append(known, name)
		for kind := range v {
			if !slices.Contains([]string{"name", "emptyDir", "configMap", "secret", "projected", "downwardAPI", "hostPath", "image"}, kind) {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.all(), func(c container) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return !slices.Contains(known, m.Name) })
	})
}

func claimTemplate(o Options) json.RawMessage {
	type spec struct {
		AccessModes      []string   `json:"accessModes"`
		StorageClassName string     `json:"storageClassName,omitempty"`
		Resources        *resources `json:"resources"`
	}
	text, err := json.Marshal(struct {
		Metadata map[string]string `json:"metadata"`
		Spec     spec              `json:"spec"`
	}{map[string]string{"name": ledgerVolume}, spec{[]string{"ReadWriteOnce"}, o.LedgerClass, &resources{Requests: map[string]quantity{"storage": quantity(o.LedgerSize)}}}})
	if err != nil {
		panic("inject: a claim's template cannot be written as JSON: " + err.Error()) // strings alone
	}
	return text
}

// mounts are those besides the ledger's.
func (o Options) mounts() (all []mount) {
	for _, m := range []struct{ name, volume, path string }{
		{o.Config, configVolume, configPath}, {o.Policy, policyVolume, policyPath}, {o.Secret, secretVolume, secretPath},
	} {
		if m.name != "" {
			all = append(all, mount{Name: m.volume, MountPath: m.path, ReadOnly: true})
		}
	}
	return all
}

// volumes are those besides the ledger's.
func (o Options) volumes() (all []volume) {
	if o.Config != "" {
		all = append(all, volume{Name: configVolume, ConfigMap: &configSource{o.Config}})
	}
	if o.Policy != "" {
		all = append(all, volume{Name: policyVolume, ConfigMap: &configSource{o.Policy}})
	}
	if o.Secret != "" {
		all = append(all, volume{Name: secretVolume, Secret: &secretSource{o.Secret}})
	}
	return all
}

// clash is the name of a volume that the pod has already and the sidecar would add; empty for none.
func clash(p *pod, added []volume) string {
	for _, v := range p.Spec.Volumes {
		var name string
		_ = json.Unmarshal(v["name"], &name)
		if slices.ContainsFunc(added, func(a volume) bool { return a.Name == name }) {
			return name
		}
	}
	return ""
}
