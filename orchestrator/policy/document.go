package policy

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/strictyaml"
)

// The YAML document has the policy's JSON names, with one difference: a
// duration is written with its unit, and its name has no "_seconds".

const secondsSuffix = "_seconds"

func yamlName(jsonName string) string { return strings.TrimSuffix(jsonName, secondsSuffix) }

// entry is one key of a mapping of the document.
type entry struct {
	name     string
	value    reflect.Value
	duration bool
}

// entries yields the keys of a struct in their order.
func entries(v reflect.Value) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("json")
			if !yield(entry{name: yamlName(name), value: v.Field(i), duration: strings.HasSuffix(name, secondsSuffix)}) {
				return
			}
		}
	}
}

// scalars yields every single value of the document, lists excepted, by its
// key with dots.
func (p *Policy) scalars() iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) { walk("", reflect.ValueOf(p).Elem(), yield) }
}

func walk(prefix string, v reflect.Value, yield func(string, entry) bool) bool {
	for e := range entries(v) {
		key, more := prefix+e.name, true
		switch e.value.Kind() {
		case reflect.Struct:
			more = walk(key+".", e.value, yield)
		case reflect.Slice:
		default:
			more = yield(key, e)
		}
		if !more {
			return false
		}
	}
	return true
}

// set reads a value as a user writes it. The error completes the sentence
// "KEY …".
func (e entry) set(text string) error {
	v := e.value
	switch {
	case e.duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("must be a duration with its unit, such as 30s or 1m30s, not %q", text)
		}
		v.SetFloat(d.Seconds())
	case v.Kind() == reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n-n != 0 { // an infinity or no number
			return fmt.Errorf("must be a number, not %q", text)
		}
		v.SetFloat(n + 0) // no negative zero
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("must be a whole number, such as 20, not %q", text)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("must be a whole number of 0 or more, such as 20, not %q", text)
		}
		v.SetUint(n)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("must be true or false, not %q", text)
		}
		v.SetBool(b)
	default:
		v.SetString(text)
	}
	return nil
}

// text writes a value as set and the YAML reader read it.
func (e entry) text() string {
	switch v := e.value.Interface().(type) {
	case float64:
		if e.duration {
			return strictyaml.Duration(wholeMillis(v))
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		quoted, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("policy: a string has no JSON: %v", err))
		}
		return string(quoted)
	case health.Mode:
		return string(v)
	case health.Status:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}
