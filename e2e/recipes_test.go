//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recipe is the block of docs/recipes.md that begins with a text.
func recipe(t *testing.T, begin string) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)\n```\n(" + regexp.QuoteMeta(begin) + ".*?\n)```\n").FindSubmatch(doc)
	if m == nil {
		t.Fatalf("docs/recipes.md has no block that begins with %q", begin)
	}
	return string(m[1])
}

// asked are bash functions: ask PORT RECIPIENT... prints what a server says of each
// recipient.
const asked = `
say() { printf '%s\r\n' "$1" >&3; reply; }
reply() { line=; while IFS= read -r line <&3 && [ "${line:3:1}" = - ]; do :; done; }
ask() {
	local port=$1
	shift
	for a; do # Postfix hangs up on a client that errs too often
		exec 3<>/dev/tcp/127.0.0.1/$port
		reply
		say 'EHLO client.test'
		say 'MAIL FROM:<a@sender.test>'
		say "RCPT TO:<$a>"
		printf '%s\t%s\n' "$a" "${line%$'\r'}"
		say QUIT
		exec 3>&-
	done
}
`

// testRecipes does what docs/recipes.md says of a map for Postfix and a file for Exim,
// with the commands and the settings as printed there.
func (l *lab) testRecipes(t *testing.T) {
	self, err := os.ReadFile(program(t, "cmd/bouncelog"))
	if err == nil {
		err = os.WriteFile(filepath.Join(l.dir, "bouncelog"), self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, mta := range []struct{ name, log, script, port string }{
		{
			"Postfix", "mail.log",
			recipe(t, "bouncelog suppress --format postfix") +
				"cat >>/etc/postfix/main.cf <<'END'\n" + recipe(t, "smtpd_recipient_restrictions") + "END\n" +
				"postfix -c /etc/postfix reload\n",
			"25",
		},
		{
			"Exim", "exim4/mainlog",
			recipe(t, "install ") + recipe(t, "bouncelog suppress --format exim") +
				"[ \"$(stat -c '%U:%G %a' /etc/exim4/suppress)\" = 'root:Debian-exim 640' ]\n" +
				"cat >/etc/exim4/recipe-acl <<'END'\n" + recipe(t, "deny ") + "END\n" +
				`sed '/^acl_rcpt:$/r /etc/exim4/recipe-acl' /etc/exim4/common.conf >/etc/exim4/recipe-common.conf
				printf '%s\n' 'NAME = exim4-recipe' 'PORT = 10625' 'LOGPATH = /run/exim4-recipe.%slog' '.include /etc/exim4/recipe-common.conf' >/etc/exim4/recipe.conf
				echo /etc/exim4/recipe.conf >>/etc/exim4/trusted_configs
				install -d -o Debian-exim -g Debian-exim -m 750 /var/spool/exim4-recipe
				touch /run/exim4-recipe.{main,panic,reject}log
				chown Debian-exim /run/exim4-recipe.*log
				bash -c 'exim4 -C /etc/exim4/recipe.conf -bd; :'
				`,
			"10625",
		},
	} {
		t.Run(mta.name, func(t *testing.T) {
			environment := "set -eu\nexport BOUNCELOG_DB=/tmp/" + mta.name + ".db BOUNCELOG_CONFIG=/dev/null PATH=/lab:$PATH\n"
			l := &lab{t: t, tool: l.tool, dir: l.dir}
			inside := func(script string) string { return string(l.run("exec", "bash", "-c", environment+script)) }
			inside("bouncelog import /var/log/" + mta.log + "*") // with what was rotated
			listed := strings.Fields(inside("bouncelog suppress --format list"))
			inside(mta.script) // prints what its tools print
			want := map[string]string{
				"nouser@plain.test": "550", "NoUser2@PLAIN.test": "550", "moved551@plain.test": "550", // whatever the case
				"ok@plain.test": "250", "full552@plain.test": "250", "policy@plain.test": "250", "grey@plain.test": "250",
			}
			for _, a := range listed {
				want[a] = "550"
			}
			if len(listed) < 5 {
				t.Errorf("only %q are listed", listed)
			}
			question := asked + "ask " + mta.port
			for a := range want {
				question += " '" + strings.ReplaceAll(a, "'", `'\''`) + "'"
			}
			var wrong string
			defer func() {
				if t.Failed() {
					t.Log(wrong)
				}
			}()
			until(t, 20*time.Second, mta.name+" to answer by its new settings", func() bool {
				wrong = ""
				answers := 0
				for line := range strings.Lines(inside(question)) {
					a, reply, _ := strings.Cut(strings.TrimSpace(line), "\t")
					if !strings.HasPrefix(reply, want[a]) { // perhaps by a process that began before
						wrong += fmt.Sprintf("%s: %q, want %s\n", a, reply, want[a])
					}
					answers++
				}
				if answers != len(want) {
					wrong += fmt.Sprintf("%d answers to %d recipients\n", answers, len(want))
				}
				return wrong == ""
			})
		})
	}
}
