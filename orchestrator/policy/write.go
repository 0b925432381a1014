package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
)

// YAML is the whole document with a comment at every key. Parse reads it back
// as a policy of the same digest.
func (p *Policy) YAML() []byte {
	var b bytes.Buffer
	writeMapping(&b, "", "", reflect.ValueOf(*p))
	return b.Bytes()
}

func writeMapping(b *bytes.Buffer, indent, prefix string, v reflect.Value) {
	for e := range entries(v) {
		key := prefix + e.name
		if indent == "" && b.Len() > 0 {
			b.WriteString("\n")
		}
		for _, line := range strings.Split(comments[key], "\n") {
			if line != "" {
				_, _ = fmt.Fprintf(b, "%s# %s\n", indent, line)
			}
		}
		_, _ = fmt.Fprintf(b, "%s%s:", indent, e.name)
		switch e.value.Kind() {
		case reflect.Struct:
			b.WriteString("\n")
			writeMapping(b, indent+"  ", key+".", e.value)
		case reflect.Slice:
			writeList(b, indent+"  ", key+"[].", e.value)
		default:
			_, _ = fmt.Fprintf(b, " %s\n", e.text())
		}
	}
}

func writeList(b *bytes.Buffer, indent, prefix string, v reflect.Value) {
	if v.Len() == 0 {
		b.WriteString(" []\n")
		return
	}
	if v.Type().Elem().Kind() != reflect.Struct {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = entry{value: v.Index(i)}.text()
		}
		_, _ = fmt.Fprintf(b, " [%s]\n", strings.Join(items, ", "))
		return
	}
	b.WriteString("\n")
	for i := range v.Len() {
		var item bytes.Buffer
		writeMapping(&item, indent+"  ", prefix, v.Index(i))
		text := strings.TrimPrefix(item.String(), indent+"  ")
		_, _ = fmt.Fprintf(b, "%s- %s", indent, text)
	}
}
