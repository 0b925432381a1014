package approval

import (
	"crypto/sha256"
	"encoding/base64"
)

// style is all there is of design: one column for a phone, by night as by day,
// buttons that a thumb finds.
const style = `
:root{color-scheme:light dark;--ink:#14181c;--faint:#4f5862;--line:#c9d0d7;--paper:#fff;--tint:#f2f5f8;--go:#0b6b3a;--stop:#a3211b;--wait:#7a4b00;--on:#fff;--link:#0b57a4}
@media (prefers-color-scheme:dark){:root{--ink:#edf1f5;--faint:#a9b4bf;--line:#3b444d;--paper:#101418;--tint:#1a2026;--go:#5fd394;--stop:#ff9a92;--wait:#ffc66b;--on:#08110c;--link:#8cc4ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:38rem;padding:1rem 1rem 3rem;background:var(--paper);color:var(--ink);font:1.0625rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
h1{font-size:1.5rem;line-height:1.25;margin:.25rem 0 .5rem}
h2{font-size:1.0625rem;margin:1.5rem 0 .25rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.0625rem;margin:1rem 0 0}
p,ul,dl,figure{margin:.5rem 0}
fieldset{margin:1rem 0;border:1px solid var(--line);border-radius:.5rem}
ul{padding-left:1.2rem}
.faint,dt,figcaption{color:var(--faint);font-size:.9375rem}
dd{margin:0}
.figures{display:flex;gap:.5rem}
.figures div{flex:auto;padding:.5rem .6rem;background:var(--tint);border-radius:.5rem}
.figures dd{font-size:1.1875rem;font-weight:700}
.facts div{padding:.25rem 0}
.notice{padding:.75rem 1rem;border:2px solid var(--line);border-left-width:.5rem;border-radius:.5rem;background:var(--tint)}
.notice.go{border-color:var(--go)}.notice.stop{border-color:var(--stop)}.notice.wait{border-color:var(--wait)}
.ok{color:var(--go)}.ill{color:var(--wait)}.bad{color:var(--stop)}
.risk{font-weight:700;color:var(--stop)}
pre{margin:.5rem 0;padding:.75rem;background:var(--tint);border-radius:.5rem;white-space:pre-wrap;direction:ltr;unicode-bidi:bidi-override;font:.9375rem/1.45 ui-monospace,monospace}
a{color:var(--link);display:inline-block;padding:.5rem 0}
.to{display:block;padding:.75rem 1rem;border:2px solid;border-radius:.75rem;font-weight:700;text-align:center;text-decoration:none}
button{display:block;width:100%;min-height:4rem;margin:.75rem 0;padding:.75rem 1rem;border:3px solid var(--go);border-radius:.75rem;background:var(--go);color:var(--on);font:700 1.1875rem/1.3 system-ui,sans-serif;overflow-wrap:anywhere;cursor:pointer}
button.no{border-color:var(--stop);background:transparent;color:var(--stop)}
label{display:block;margin-top:1.5rem}
fieldset p{margin:0}fieldset label{display:inline-block;margin:0;padding:.75rem .5rem}
textarea{width:100%;min-height:4.5rem;padding:.5rem;border:1px solid var(--faint);border-radius:.5rem;background:var(--paper);color:var(--ink);font:inherit}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg path{fill:none;stroke:var(--ink);stroke-width:2;stroke-linejoin:round}
svg .base{stroke:var(--line);stroke-width:1}
svg .warn{stroke:var(--wait);stroke-width:1;stroke-dasharray:5 4}
svg .crit{stroke:var(--stop);stroke-width:1;stroke-dasharray:5 4}
svg text{fill:var(--faint);font-size:12px}
`

// contentPolicy lets the page use its own style and send its own form, and
// nothing else.
func contentPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}
