package diagnosis

import "slices"

// Cause is why an incident is, as far as it shows from outside of the service.
type Cause string

// The causes. A diagnoser names one of these and no other.
const (
	Unknown          Cause = "unknown"
	UpstreamDown     Cause = "upstream_down"
	UpstreamHang     Cause = "upstream_hang"
	DeadDependency   Cause = "dead_dependency"
	SlowDependency   Cause = "slow_dependency"
	PoolExhaustion   Cause = "pool_exhaustion"
	BadDeployRoute   Cause = "bad_deploy_route"
	BadRoute         Cause = "bad_route"
	Deployment       Cause = "deployment"
	Configuration    Cause = "configuration"
	PauseOfProcess   Cause = "gc_pauses"
	RetryStorm       Cause = "retry_storm"
	TrafficSpike     Cause = "traffic_spike"
	ColdStart        Cause = "cold_start"
	ResourceRamp     Cause = "resource_ramp"
	NameNotFound     Cause = "dns_failure"
	Certificate      Cause = "certificate"
	Network          Cause = "network"
	PartialOutage    Cause = "partial_outage"
	RejectedRequests Cause = "client_errors"
)

// about is what is said of a cause.
type about struct {
	cause Cause
	// what is the cause in one plain sentence, check what to look at first,
	// tell what would show that it is this cause and no other.
	what, check, tell string
}

// causes are all of them, in the order in which they are listed.
var causes = [...]about{
	{UpstreamDown,
		"The service does not accept connections: its process has ended, is restarting or does not listen.",
		"Whether the process runs, and why it ended: its last log lines, its exit code, the orchestrator's events (out of memory, failed probe).",
		"no process listening on the port"},
	{UpstreamHang,
		"The service accepts connections and answers nothing: a deadlock, or all of its workers are stuck.",
		"A dump of the process's threads or goroutines: what they all wait for.",
		"a process that runs, with no request finishing"},
	{DeadDependency,
		"Something that the service needs, such as a database or another API, is not there, and the routes that need it fail.",
		"The service's log for the error of the failing routes, and whether the dependency that they share can be reached from its host.",
		"errors of one dependency in the service's log, on all failing routes"},
	{SlowDependency,
		"Something that the service calls answers more slowly than usual, and the service waits for it.",
		"The latency of what the slow routes call: the database's slow queries and locks, the other API's own figures.",
		"calls to one dependency taking as much longer as the requests do"},
	{PoolExhaustion,
		"A limited resource, such as a pool of connections or workers, is used up, and requests queue for it.",
		"The pool's figures: in use, waiting, limit; and who holds connections for long, such as a transaction that was left open.",
		"a pool at its limit with requests waiting, while what it leads to is idle or fast"},
	{BadDeployRoute,
		"One route became slow or began to fail after a change, while the others are as usual.",
		"What the change touches of that route; whether taking it back helps.",
		"the route recovering when the change is taken back"},
	{BadRoute,
		"One route is slow or failing while the others are as usual, and no change is known to be behind it.",
		"What only that route does: its query, its dependency, the size of its data, who calls it.",
		"the other routes staying well while that one is bad"},
	{Deployment,
		"The service became bad on all routes shortly after a new version was rolled out.",
		"The difference to the version before; whether rolling back helps.",
		"instances of the version before being well"},
	{Configuration,
		"The service became bad on all routes shortly after a setting, flag, migration or infrastructure was changed.",
		"What was changed; whether setting it back helps.",
		"the service recovering when the setting is put back"},
	{PauseOfProcess,
		"The process stops as a whole for moments, as it does for garbage collection, swapping or a throttled processor, and every request that comes then waits.",
		"Garbage collection's log and pauses, the heap against its limit, swapping, and the time that the processor was throttled.",
		"pauses in the collector's log, or throttling, at the times of the slow moments"},
	{RetryStorm,
		"Clients try again what failed, and their retries keep the service from serving anybody.",
		"Whether the same requests come several times; shed or limit load at the edge before anything is restarted.",
		"one client or caller sending the same requests again and again"},
	{TrafficSpike,
		"More is asked of the service than usual, and it is slower or failing because of that.",
		"Where the traffic comes from, and whether capacity can be added or callers limited.",
		"the latency following the load up and down"},
	{ColdStart,
		"The service has just started: caches and pools are empty, and it gets faster by itself.",
		"Whether it goes on getting faster; when the instances started, and why.",
		"the latency falling minute by minute without anybody's doing"},
	{ResourceRamp,
		"The service has become slower little by little at the same load: memory, disk, a table or a queue that grows.",
		"What grew over that time: memory, open files, disk, rows, queue length; a restart that helps for a while points to the process itself.",
		"a figure of the host or database growing along with the latency"},
	{NameNotFound,
		"A name that is needed to reach the service cannot be resolved.",
		"The name as configured, and what the resolver answers for it on this host; a record or service that was removed.",
		"the name failing to resolve from this host"},
	{Certificate,
		"A certificate on the way to the service is not accepted: it has expired, is for another name or from an unknown authority.",
		"The certificate that is served: its dates, names and issuer; why it was not renewed.",
		"a handshake made by hand that says what is wrong with the certificate"},
	{Network,
		"The way to the service is bad: connections cannot be made in time, are reset, or take long to be made.",
		"Packet loss and routes between here and the service, firewalls and security groups, and the listen queue of the service.",
		"losses or slow handshakes on a connection made by hand, while the service is idle"},
	{PartialOutage,
		"A steady share of all requests fails or is slow, whatever the route: one of several instances or shards is bad.",
		"The figures of each instance behind the address; take the bad one out.",
		"one instance with all of the bad requests"},
	{RejectedRequests,
		"Many requests are rejected as the client's mistake: a client was changed, a credential expired, or somebody is probing.",
		"Which client sends them and which status it gets: 401 and 403 point to credentials, 404 to addresses, 429 to a limit.",
		"one client with nearly all of them"},
	{Unknown,
		"The figures do not point to one cause.",
		"The service's own log at the time that the incident began.",
		"nothing in particular"},
}

func (c Cause) about() about {
	for _, a := range causes {
		if a.cause == c {
			return a
		}
	}
	return causes[len(causes)-1]
}

// Valid says whether c is one of the causes.
func (c Cause) Valid() bool {
	return slices.ContainsFunc(causes[:], func(a about) bool { return a.cause == c })
}

// What is the cause in a sentence.
func (c Cause) What() string { return c.about().what }

// CheckFirst says what to look at first.
func (c Cause) CheckFirst() string { return c.about().check }

// Tell is what would show that it is this cause, to go on after "if it is".
func (c Cause) Tell() string { return c.about().tell }

// Causes lists all causes, Unknown last.
func Causes() []Cause {
	all := make([]Cause, len(causes))
	for i, a := range causes {
		all[i] = a.cause
	}
	return all
}
