package inject

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/strictyaml"
)

// annotation is one option, as an annotation and as a flag of the commands that inject.
type annotation struct {
	name, meaning string
	read          func(*Options, string) error
	show          func(Options) string
}

func textOption(name, meaning string, at func(*Options) *string, check func(string) error) annotation {
	return annotation{name, meaning,
		func(o *Options, s string) error { *at(o) = s; return check(s) },
		func(o Options) string { return *at(&o) },
	}
}

func portOption(name, meaning string, at func(*Options) *int32) annotation {
	return annotation{name, meaning,
		func(o *Options, s string) error {
			n, ok := portNumber(s)
			if !ok || n < 1024 {
				return fmt.Errorf("must be a port from 1024 to 65535, not %q", s)
			}
			*at(o) = n
			return nil
		},
		func(o Options) string {
			if *at(&o) == 0 {
				return ""
			}
			return strconv.Itoa(int(*at(&o)))
		},
	}
}

func boolOption(name, meaning string, at func(*Options) *bool) annotation {
	return annotation{name, meaning,
		func(o *Options, s string) error {
			if s != "true" && s != "false" {
				return fmt.Errorf("must be true or false, not %q", s)
			}
			*at(o) = s == "true"
			return nil
		},
		func(o Options) string { return strconv.FormatBool(*at(&o)) },
	}
}

// own are the options that are not settings of countersign run.
func own() []annotation {
	return []annotation{
		textOption("image", "the sidecar's image", func(o *Options) *string { return &o.Image }, notBlank),
		textOption("image-pull-policy", "Always, IfNotPresent or Never; empty leaves it to Kubernetes", func(o *Options) *string { return &o.PullPolicy }, oneOf("", "Always", "IfNotPresent", "Never")),
		textOption("sensor", "proxy, which stands in for the API's port, or ebpf, which listens beside it and needs capabilities", func(o *Options) *string { return &o.Sensor }, oneOf(config.SensorProxy, config.SensorEBPF)),
		textOption("port", "name or number of the API's port; empty takes the only TCP port that is declared, else the one named http", func(o *Options) *string { return &o.Port }, portOrName),
		portOption("listen", "port on which the proxy stands in for the API's", func(o *Options) *int32 { return &o.Listen }),
		portOption("admin", "port of the admin API", func(o *Options) *int32 { return &o.Admin }),
		boolOption("metrics", "answer the admin API, and so /metrics, on the pod's address too; else on its loopback alone", func(o *Options) *bool { return &o.Metrics }),
		boolOption("native", "an init container that keeps running, which Kubernetes has from 1.29 on; else an ordinary container", func(o *Options) *bool { return &o.Native }),
		textOption("ledger", "auto, a volume for each pod where a StatefulSet's manifest is injected, else emptyDir; or emptyDir, which ends with the pod", func(o *Options) *string { return &o.Ledger }, oneOf(ledgerAuto, ledgerEmptyDir)),
		textOption("ledger-claim", "PersistentVolumeClaim to keep the ledger on", func(o *Options) *string { return &o.LedgerClaim }, objectName),
		textOption("ledger-size", "size of the volumes that a StatefulSet's pods get", func(o *Options) *string { return &o.LedgerSize }, amount),
		textOption("ledger-class", "storage class of those volumes; empty is the cluster's own", func(o *Options) *string { return &o.LedgerClass }, objectName),
		textOption("cpu-request", "CPU that the sidecar is promised; empty for none", func(o *Options) *string { return &o.CPURequest }, amount),
		textOption("cpu-limit", "CPU that it may have; empty is no limit", func(o *Options) *string { return &o.CPULimit }, amount),
		textOption("memory-request", "memory that the sidecar is promised; empty for none", func(o *Options) *string { return &o.MemoryRequest }, amount),
		textOption("memory-limit", "memory that it may have; empty is no limit", func(o *Options) *string { return &o.MemoryLimit }, amount),
		textOption("config", "ConfigMap with the key countersign.yaml, the configuration file; all of it is mounted at "+configPath, func(o *Options) *string { return &o.Config }, objectName),
		textOption("policy", "ConfigMap with the key policy.yaml, the policy; mounted at "+policyPath, func(o *Options) *string { return &o.Policy }, objectName),
		textOption("secret", "Secret that is mounted at "+secretPath+"; its keys secret and ledger-key, where there are any, are the admin API's secret and the ledger's key", func(o *Options) *string { return &o.Secret }, objectName),
		portOption("approval-port", "port of the public listener, where people approve; needs public-url; empty opens none", func(o *Options) *int32 { return &o.ApprovalPort }),
	}
}

// settled are the settings of countersign run that the options above decide.
var settled = map[string]string{
	"listen": "", "admin": "", "sensor": "", "port": "", "policy": "", // of the same names, and another meaning
	"approval-listen": "approval-port",
	"data":            "ledger or ledger-claim",
	"anchor":          "ledger or ledger-claim",
}

// settings are those of countersign run that annotations of their names set.
func settings() []config.Field {
	return slices.DeleteFunc(config.Fields(), func(f config.Field) bool { _, ours := settled[f.Flag]; return ours })
}

// FromAnnotations returns the defaults with what annotations say of them. It
// passes over annotations that do not begin with Prefix. The error names the annotation and
// says what it may be.
func FromAnnotations(defaults Options, annotations map[string]string) (Options, error) {
	o := defaults
	o.Settings = maps.Clone(defaults.Settings)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, Prefix)
		if !ok || key == StatusAnnotation || key == RefusedAnnotation {
			continue
		}
		if err := o.set(name, annotations[key]); err != nil {
			return Options{}, fmt.Errorf("the annotation %s %w", key, err)
		}
	}
	return o, nil
}

// set reads one option.
func (o *Options) set(name, value string) error {
	if Prefix+name == Label {
		return oneOf(Enabled, Disabled)(value)
	}
	known := own()
	if i := slices.IndexFunc(known, func(a annotation) bool { return a.name == name }); i >= 0 {
		return known[i].read(o, value)
	}
	fields := settings()
	if i := slices.IndexFunc(fields, func(f config.Field) bool { return f.Flag == name }); i >= 0 {
		if err := fields[i].Check(value); err != nil {
			return err
		}
		if o.Settings == nil {
			o.Settings = map[string]string{}
		}
		o.Settings[name] = value
		return nil
	}
	if instead := settled[name]; instead != "" {
		return fmt.Errorf("is no option: use %s", instead)
	}
	return fmt.Errorf("is no option%s", strictyaml.DidYouMean(name, options()))
}

// options are the names of all annotations, without Prefix.
func options() []string {
	all := []string{strings.TrimPrefix(Label, Prefix)}
	for _, a := range own() {
		all = append(all, a.name)
	}
	for _, f := range settings() {
		all = append(all, f.Flag)
	}
	return all
}

func notBlank(s string) error {
	if s == "" || strings.ContainsAny(s, " \t\r\n") {
		return fmt.Errorf("must be the name of an image, not %q", s)
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("must be one of %s, not %q%s", strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), ", "), s, strictyaml.DidYouMean(s, words))
	}
}

func portOrName(s string) error {
	if _, ok := portNumber(s); ok || s == "" {
		return nil
	}
	letters := strings.Trim(s, "0123456789-") != ""
	if len(s) > maxPortName || !letters || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return fmt.Errorf("must be a port's number, or its name of a-z, 0-9 and -, not %q", s)
	}
	return nil
}

// objectName accepts the name of an object of the API, or nothing.
func objectName(s string) error {
	if len(s) > 253 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || s != strings.Trim(s, "-.") {
		return fmt.Errorf("must be an object's name of a-z, 0-9, - and ., not %q", s)
	}
	return nil
}

// amount accepts a quantity above 0, or nothing.
func amount(s string) error {
	if s == "" {
		return nil
	}
	pattern := regexp.MustCompile(`^\d{1,12}(\.\d{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$`)
	if !pattern.MatchString(s) || strings.Trim(s, "0.mkMGTPi") == "" {
		return fmt.Errorf("must be an amount such as 100m, 64Mi or 1Gi, not %q", s)
	}
	return nil
}
