package incident

import (
	"encoding/json"
	"strings"
)

// members are the names that an entry's members have.
var members = map[string]bool{
	"v": true, "kind": true, "time": true, "tenant_id": true, "service": true, "instance": true, "incident_id": true,
	"stage": true, "actor": true, "decision": true, "reason": true, "confidence": true, "policy_version": true,
	"policy_digest": true, "action_digest": true, "evidence": true, "metadata": true,
}

// miswritten is the name of a member, of a leaf that is a JSON object, that is one
// of an entry's but for its letters' case; empty when there is none. encoding/json
// would take it for that, where other readers do not.
func miswritten(leaf []byte) string {
	depth, name := 0, false
	for i := 0; i < len(leaf); i++ {
		switch leaf[i] {
		case '{', '[':
			depth++
			name = depth == 1
		case '}', ']':
			depth--
		case ',':
			name = depth == 1
		case '"':
			end := stringEnd(leaf, i)
			if name && depth == 1 {
				if found := differsInCase(leaf[i:end]); found != "" {
					return found
				}
				name = false
			}
			i = end - 1
		}
	}
	return ""
}

// stringEnd is where the JSON string that begins at i has ended.
func stringEnd(leaf []byte, i int) int {
	for i++; i < len(leaf); i++ {
		switch leaf[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(leaf)
}

// differsInCase returns a quoted name when it is one of the members in other
// letters.
func differsInCase(quoted []byte) string {
	if len(quoted) >= 2 && members[string(quoted[1:len(quoted)-1])] {
		return ""
	}
	var name string
	if json.Unmarshal(quoted, &name) != nil || members[name] {
		return ""
	}
	for member := range members {
		if strings.EqualFold(member, name) {
			return name
		}
	}
	return ""
}
