package incident

import "strings"

// The kinds of entries that are no stage of an incident. Those that are have
// the stage's name in lower case after "incident.".
const (
	KindJoined           = "incident.joined"
	KindMarked           = "incident.marked"
	KindRevised          = "incident.revised"
	KindCleared          = "incident.cleared"
	KindRequested        = "approval.requested"
	KindAsked            = "approval.asked"
	KindOffered          = "approval.offered"
	KindApproved         = "approval.approved"
	KindRefused          = "approval.refused"
	KindTargetDown       = "target.down"
	KindTargetUp         = "target.up"
	KindTargetFlapping   = "target.flapping"
	KindTargetSteady     = "target.steady"
	KindEffectSuppressed = "effect.suppressed"
	KindEffectDue        = "effect.due"
	KindEffectReceipt    = "effect.receipt"
	KindShadowOn         = "shadow.on"
	KindShadowOff        = "shadow.off"
	KindPolicyLoaded     = "policy.loaded"
	KindAccessDenied     = "access.denied"
	KindDiagnosed        = "diagnosis.given"
)

// The actors. A person is "human:" and a name.
const (
	ActorPolicy   = "policy"
	ActorExecutor = "executor"
	ActorShadow   = "shadow_mode"
	ActorSystem   = "system"
	humanPrefix   = "human:"
	anyHuman      = humanPrefix + "*"
	// A diagnoser is "diagnosis:" and a name.
	diagnosisPrefix = "diagnosis:"
	anyDiagnosis    = diagnosisPrefix + "*"
)

// namespaces begin the kinds that are ours, those of later versions too.
var namespaces = []string{"incident.", "approval.", "target.", "effect.", "shadow.", "policy.", "access.", "diagnosis."}

// actors says who may take each step. A diagnosis may do nothing but be given.
var actors = map[string][]string{
	KindOf(Detected):     {ActorPolicy},
	KindOf(Proposed):     {ActorPolicy},
	KindOf(Validated):    {ActorPolicy},
	KindOf(Authorized):   {anyHuman},
	KindOf(Executed):     {ActorExecutor},
	KindOf(Resolved):     {ActorPolicy},
	KindOf(Recovered):    {ActorPolicy},
	KindOf(Rejected):     {anyHuman},
	KindOf(Expired):      {ActorPolicy, ActorSystem},
	KindOf(Failed):       {ActorPolicy, ActorExecutor},
	KindJoined:           {ActorPolicy},
	KindMarked:           {anyHuman},
	KindRevised:          {ActorPolicy},
	KindCleared:          {ActorPolicy},
	KindRequested:        {anyHuman},
	KindAsked:            {ActorPolicy},
	KindOffered:          {ActorPolicy},
	KindApproved:         {anyHuman},
	KindRefused:          {anyHuman},
	KindTargetDown:       {ActorPolicy},
	KindTargetUp:         {ActorPolicy},
	KindTargetFlapping:   {ActorPolicy},
	KindTargetSteady:     {ActorPolicy},
	KindEffectSuppressed: {ActorShadow},
	KindEffectDue:        {ActorPolicy},
	KindEffectReceipt:    {ActorExecutor, anyHuman},
	KindShadowOn:         {anyHuman},
	KindShadowOff:        {anyHuman},
	KindPolicyLoaded:     {ActorSystem},
	KindAccessDenied:     {ActorSystem},
	KindDiagnosed:        {anyDiagnosis},
}

// KindOf is the kind of the entry that takes an incident to a stage.
func KindOf(s Stage) string { return "incident." + strings.ToLower(string(s)) }

// isStage says whether a kind is that of an entry which takes an incident to a
// stage.
func isStage(kind string) bool {
	name, ok := strings.CutPrefix(kind, "incident.")
	return ok && Stage(strings.ToUpper(name)).known()
}

func isOurs(kind string) bool {
	for _, n := range namespaces {
		if strings.HasPrefix(kind, n) {
			return true
		}
	}
	return false
}
