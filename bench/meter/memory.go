package meter

import "fmt"

// Memory is what a set takes up, in bytes.
type Memory struct {
	// Resident is the sum over the processes: pages that several share, as the
	// workers of a server do, count in each.
	Resident uint64 `json:"resident"`
	// Proportional divides those among the ones that share them (Pss), so the sum is what the set takes up.
	Proportional uint64 `json:"proportional"`
	// Peak is the sum of the most that each process has had resident.
	Peak uint64 `json:"peak"`
}

// Memory reads the set. It is for between measurements: the kernel walks the pages of each process.
func (s Set) Memory() (sum Memory, err error) {
	for _, pid := range s.pids {
		status, err := fields(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return Memory{}, ended(pid, err)
		}
		pages, err := fields(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return Memory{}, ended(pid, err)
		}
		// VmRSS and VmHWM leave out what a processor has not yet added to them; the pages are counted.
		sum.Resident += pages["Rss"] << 10
		sum.Peak += max(status["VmHWM"], pages["Rss"]) << 10
		sum.Proportional += pages["Pss"] << 10
	}
	return sum, nil
}
