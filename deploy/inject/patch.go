package inject

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// patch gathers operations, each on what the ones before it have left.
type patch []Operation

// add sets the member that the last step names, or inserts an element into an
// array: before the one that a number names, or at the end for "-".
func (p *patch) add(value any, steps ...any) { p.append("add", value, steps) }

func (p *patch) replace(value any, steps ...any) { p.append("replace", value, steps) }

// remove takes away a member that is there.
func (p *patch) remove(steps ...any) {
	*p = append(*p, Operation{Op: "remove", Path: pointer(steps)})
}

func (p *patch) append(op string, value any, steps []any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("inject: %T cannot be written as JSON: %v", value, err)) // all are structs of this package
	}
	*p = append(*p, Operation{Op: op, Path: pointer(steps), Value: text})
}

// extend adds elements to the array at steps, which has length elements now. An array that is
// missing or null has a length of 0 and is made.
func extend[T any](p *patch, length int, elements []T, steps ...any) {
	if len(elements) == 0 {
		return
	}
	if length == 0 {
		p.add(elements, steps...)
		return
	}
	for _, e := range elements {
		p.add(e, append(append([]any(nil), steps...), "-")...)
	}
}

var escapeStep = strings.NewReplacer("~", "~0", "/", "~1")

// pointer writes steps, member names and indices, as RFC 6901 has it.
func pointer(steps []any) string {
	var b strings.Builder
	for _, step := range steps {
		b.WriteByte('/')
		switch step := step.(type) {
		case int:
			b.WriteString(strconv.Itoa(step))
		case string:
			b.WriteString(escapeStep.Replace(step))
		}
	}
	return b.String()
}

// Steps reads a pointer of RFC 6901.
func Steps(pointer string) []string {
	if pointer == "" {
		return nil
	}
	steps := strings.Split(pointer[1:], "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps
}

// annotate sets one of the pod's annotations.
func (p *patch) annotate(on *pod, name, value string) {
	switch {
	case on.bare:
		p.add(map[string]any{"annotations": map[string]string{name: value}}, "metadata")
	case len(on.Metadata.Annotations) == 0:
		p.add(map[string]string{name: value}, "metadata", "annotations")
	default:
		p.add(value, "metadata", "annotations", name)
	}
}
