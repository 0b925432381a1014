//go:build slow

package approval

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a browser may take for anything. Nothing waits for it
// unless something is wrong.
const patience = time.Minute

// browser is a tab of Chromium, driven over its DevTools protocol.
type browser struct {
	testing.TB
	ctx     context.Context
	conn    *websocket.Conn
	session string
	sent    int
	events  []event // that nobody has waited for yet
	// tolerant lets the browser complain.
	tolerant bool
}

type event struct {
	Method string
	Params json.RawMessage
}

// startBrowser starts Chromium with one tab of a phone's size, which runs no
// scripts.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run .ci/deps")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--no-first-run", "--no-proxy-server", "--hide-scrollbars", "--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), "about:blank")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), "DevTools listening on "); ok {
				address <- at
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})
	b := &browser{TB: t, ctx: ctx}
	select {
	case at := <-address:
		if b.conn, _, err = websocket.Dial(ctx, at, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("Chromium did not start")
	}
	b.conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = b.conn.CloseNow() })

	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	b.call("Page.enable", nil, nil)
	b.call("Log.enable", nil, nil)
	b.call("DOM.enable", nil, nil)
	b.call("Accessibility.enable", nil, nil)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return b
}

// call sends a command and reads its result.
func (b *browser) call(method string, params map[string]any, result any) {
	b.Helper()
	b.sent++
	id := b.sent
	command := map[string]any{"id": id, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	if err := b.conn.Write(b.ctx, websocket.MessageText, must(json.Marshal(command))); err != nil {
		b.Fatal(err)
	}
	for {
		m := b.read()
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			b.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// read reads a message; events are kept.
func (b *browser) read() message {
	b.Helper()
	_, data, err := b.conn.Read(b.ctx)
	if err != nil {
		b.Fatalf("Chromium does not answer: %v", err)
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		b.Fatal(err)
	}
	if m.Method == "Log.entryAdded" && !b.tolerant {
		b.Errorf("the browser complains: %s", m.Params)
	} else if m.Method != "" {
		b.events = append(b.events, event{m.Method, m.Params})
	}
	return m
}

// load does something that loads a page, and waits until it is there.
func (b *browser) load(do func()) {
	b.Helper()
	b.events = nil
	do()
	for {
		for _, e := range b.events {
			if e.Method == "Page.loadEventFired" {
				return
			}
		}
		b.read()
	}
}

func (b *browser) open(url string) {
	b.Helper()
	b.load(func() { b.call("Page.navigate", map[string]any{"url": url}, nil) })
}

// phone makes the tab the screen of a phone.
func (b *browser) phone(width, height int, scheme string) {
	b.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// key presses one, as a keyboard does.
func (b *browser) key(name string, code int, text string) {
	b.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code}
		if text != "" && kind == "keyDown" {
			params["text"] = text
		}
		b.call("Input.dispatchKeyEvent", params, nil)
	}
}

func (b *browser) tab()   { b.Helper(); b.key("Tab", 9, "") }
func (b *browser) enter() { b.Helper(); b.key("Enter", 13, "\r") }

// node is what a screen reader is given of an element.
type node struct{ role, name, focused string }

func (n node) String() string { return fmt.Sprintf("%s %q", n.role, n.name) }

// tree is the page as a screen reader has it.
func (b *browser) tree() []node {
	b.Helper()
	type value struct{ Value any }
	var got struct {
		Nodes []struct {
			Ignored    bool
			Role, Name value
			Properties []struct {
				Name  string
				Value value
			}
		}
	}
	b.call("Accessibility.getFullAXTree", nil, &got)
	text := func(v value) string {
		if v.Value == nil {
			return ""
		}
		return fmt.Sprint(v.Value)
	}
	var out []node
	for _, n := range got.Nodes {
		if n.Ignored {
			continue
		}
		one := node{role: text(n.Role), name: text(n.Name)}
		for _, p := range n.Properties {
			if p.Name == "focused" {
				one.focused = text(p.Value)
			}
		}
		out = append(out, one)
	}
	return out
}

// focus is the element that the keyboard is at.
func (b *browser) focus() node {
	b.Helper()
	at := node{role: "nothing"}
	for _, n := range b.tree() {
		if n.focused == "true" {
			at = n
		}
	}
	return at
}

// size is that of an element on the screen, in CSS pixels.
func (b *browser) size(selector string) (width, height float64) {
	b.Helper()
	var document struct{ Root struct{ NodeID int } }
	b.call("DOM.getDocument", nil, &document)
	var found struct{ NodeID int }
	b.call("DOM.querySelector", map[string]any{"nodeId": document.Root.NodeID, "selector": selector}, &found)
	var box struct {
		Model struct{ Width, Height float64 }
	}
	b.call("DOM.getBoxModel", map[string]any{"nodeId": found.NodeID}, &box)
	return box.Model.Width, box.Model.Height
}

// contentWidth is how wide the page is, in CSS pixels.
func (b *browser) contentWidth() float64 {
	b.Helper()
	var got struct{ CSSContentSize struct{ Width float64 } }
	b.call("Page.getLayoutMetrics", nil, &got)
	return got.CSSContentSize.Width
}

// screenshot is the whole page, as PNG.
func (b *browser) screenshot() []byte {
	b.Helper()
	var got struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &got)
	return got.Data
}
