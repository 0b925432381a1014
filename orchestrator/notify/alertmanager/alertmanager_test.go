package alertmanager

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const token = "a-bearer-token-0123456789"

func open(t *testing.T, base string, doer notify.Doer) notify.Channel {
	t.Helper()
	return openWith(t, base+"/alerting/", doer, nil, map[string]notify.Secret{"token": {Env: "TOKEN"}})
}

func openWith(t *testing.T, base string, doer notify.Doer, settings map[string]string, secrets map[string]notify.Secret) notify.Channel {
	t.Helper()
	values := map[string]string{"url": base}
	for key, value := range settings {
		values[key] = value
	}
	c, err := notify.NewConfig(Kind(), "routes", values, secrets, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(doer, map[string]string{"TOKEN": token, "PASSWORD": "a password"}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func TestPayload(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200})
	if _, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Message(notify.Validated)); err != nil {
		t.Fatal(err)
	}
	r := server.Only(t)
	if r.Method != "POST" || r.Path != "/alerting/api/v2/alerts" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	want := `[{"labels":{"alertname":"CountersignIncident","incident_id":"inc-abc123-1685000000","service":"checkout","severity":"critical","source":"countersign","tenant":"local"},` +
		`"annotations":{"approval":"Nothing will run without your approval.",` +
		`"changes":"3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3); 9m earlier — flag new-checkout",` +
		`"description":"checkout\nRequests are slow since 03:00.\nP95 1847 ms · errors 8 % · score 61 of 100\nLikely cause: the connection pool is exhausted ` +
		`(3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)\nConfidence: 87 %",` +
		`"ledger":"ledger 1234 · abcd1234","link":"` + notifytest.Link + `","link_until":"the link works until 03:09:05 UTC",` +
		`"summary":"⚠ Action recommended: checkout – Requests are slow since 03:00."},` +
		`"startsAt":"2026-11-20T03:00:05Z","endsAt":"2026-11-21T03:04:05Z","generatorURL":"https://console.example/incidents/inc-abc123"}]`
	if string(r.Body) != want {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
}

// sent are the alerts of a message.
func sent(t *testing.T, m notify.Message) []alert {
	t.Helper()
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200})
	if _, err := open(t, server.URL, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var list []alert
	if err := json.Unmarshal(server.Only(t).Body, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func labels(a alert) string {
	text, _ := json.Marshal(a.Labels)
	return string(text)
}

// Whatever ends an alert has the labels of what made it fire.
func TestEveryAlertThatFiresIsEnded(t *testing.T) {
	for _, tt := range []struct {
		fires notify.Event
		ends  notify.Event
	}{
		{notify.Incident, notify.Recovered}, {notify.Validated, notify.Recovered}, {notify.Escalation, notify.Recovered}, {notify.Incident, notify.Failed},
		{notify.TargetDown, notify.TargetUp}, {notify.TargetFlapping, notify.TargetUp},
	} {
		m := notifytest.Message(tt.ends)
		m.Severity, m.Issue, m.At = notify.Info, "another", m.At.Add(time.Minute)
		fired, found := sent(t, notifytest.Message(tt.fires))[0], false
		for _, a := range sent(t, m) {
			found = found || labels(a) == labels(fired) && a.EndsAt.Equal(m.At)
		}
		if !found || !fired.EndsAt.After(notifytest.Now) {
			t.Errorf("%s is not ended by %s", tt.fires, tt.ends)
		}
	}
}

func TestAlerts(t *testing.T) {
	names := map[notify.Event]string{
		notify.Incident: nameIncident, notify.Expired: nameIncident,
		notify.Failed: nameIncident + " " + nameFailed, notify.NotRun: nameIncident + " " + nameFailed, notify.Unknown: nameIncident + " " + nameFailed,
		notify.TargetDown: nameDown, notify.TargetUp: nameDown + " " + nameFlapping,
		notify.TargetFlapping: nameFlapping, notify.Test: nameTest, notify.Recovered: nameIncident, notify.Validated: nameIncident, notify.Escalation: nameIncident,
	}
	for _, event := range notify.Events {
		for _, m := range []notify.Message{notifytest.Message(event), notifytest.Hostile(event), {ID: "a", Event: event, At: notifytest.Now, Began: notifytest.Now.Add(time.Hour)}} {
			var got []string
			for _, a := range sent(t, m) {
				got = append(got, a.Labels["alertname"])
				for key, value := range a.Labels {
					if value == "" || strings.ContainsAny(value, "\r\n\x1b\x00\u202e") || len([]rune(value)) > maxLabel {
						t.Errorf("%s: the label %s is %q", event, key, value)
					}
				}
				for key, value := range a.Annotations {
					if value == "" || key != "link" && notifytest.Signs(value) != nil {
						t.Errorf("%s: the annotation %s is %q", event, key, value)
					}
				}
				if a.StartsAt.After(a.EndsAt) || strings.HasPrefix(a.GeneratorURL, "javascript") {
					t.Errorf("%s: %+v", event, a)
				}
			}
			if strings.Join(got, " ") != names[event] {
				t.Errorf("%s: %v", event, got)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body       string
		retry      bool
		says, mend string
	}{
		{400, `"start time must be before end time"`, false, "start time", "settings"},
		{400, `{"code":602,"message":"alerts in body is required"}`, false, "body is required", "settings"},
		{401, `Unauthorized`, false, "401", "password"},
		{404, `<html>`, false, "404", "check the URL"},
		{500, `"internal"`, true, "internal", "later"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Body: tt.body})
		e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), notifytest.Message(notify.Incident), token)
		if e.Retry != tt.retry || e.Status != tt.status || !strings.Contains(e.Text, tt.says) || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
}

func TestFaults(t *testing.T) { notifytest.Faults(t, open, token) }

func TestPassword(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200})
	c := openWith(t, server.URL, nil, map[string]string{"user": "countersign"}, map[string]notify.Secret{"password": {Env: "PASSWORD"}})
	if _, err := c.Send(t.Context(), notifytest.Message(notify.Test)); err != nil {
		t.Fatal(err)
	}
	user, password, ok := (&http.Request{Header: server.Only(t).Header}).BasicAuth()
	if !ok || user != "countersign" || password != "a password" {
		t.Errorf("signed in as %q with %q", user, password)
	}
	for name, wrong := range map[string]map[string]notify.Secret{"no password": {}, "both": {"password": {Env: "A"}, "token": {Env: "B"}}} {
		if _, err := notify.NewConfig(Kind(), "routes", map[string]string{"url": server.URL, "user": "a"}, wrong, true); err == nil {
			t.Error(name)
		}
	}
}
