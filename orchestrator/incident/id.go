package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// An id is an incident's: which service's, and a second that is later than
// that of every incident of the tenant before. Seconds are in the upper bits, so
// that ids are in the order of the incidents.
type id uint64

const hashBits = 24

var idForm = regexp.MustCompile(`^inc-([0-9a-f]{6})-(0|[1-9][0-9]{0,11})$`)

// newID is the id of an incident that begins now; last is the latest there was.
func newID(tenant, service string, now time.Time, last id) id {
	sum := sha256.Sum256([]byte(tenant + "\x00" + service))
	hash := uint64(sum[0])<<16 | uint64(sum[1])<<8 | uint64(sum[2])
	second := max(uint64(max(now.Unix(), 0)), uint64(last)>>hashBits+1)
	return id(second<<hashBits | hash)
}

// IsID says whether a text is of the form that ids of incidents have.
func IsID(text string) bool {
	_, err := parseID(text)
	return err == nil
}

func parseID(text string) (id, error) {
	parts := idForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, &IllegalError{errNoID.Error(), "", clean(fmt.Sprintf("%q", text), maxName)}
	}
	hash, err := hex.DecodeString(parts[1])
	if err != nil {
		return 0, errNoID
	}
	second, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil || second >= 1<<(64-hashBits) {
		return 0, errNoID
	}
	return id(second<<hashBits | uint64(hash[0])<<16 | uint64(hash[1])<<8 | uint64(hash[2])), nil
}

func (i id) String() string {
	return fmt.Sprintf("inc-%06x-%d", uint64(i)&(1<<hashBits-1), uint64(i)>>hashBits)
}
