package judge

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/config"
)

// The guesser is trained with the compiled rules, hence two steps.
//
//go:generate go test -run ^TestRulesGenerated$ -update
//go:generate go test -run "^(TestGuesserTrained|TestReasonsDocumented)$" -update

// A Rule assigns a reason to replies. All its conditions must be met; a list is met if one of its
// entries is (All: every one, Not: none). Rules are data: the built-in ones are in rules.toml, from
// which rules_gen.go is generated.
//
// Texts are compared in lower case and without accents with the template of the reply (see Split).
// A bar at the start or end of a literal is a word boundary.
type Rule struct {
	ID     string
	Reason bounce.Reason
	Detail string
	Scope  bounce.Scope // who has to act; by default ReasonText(Reason).Scope
	Tier   Tier

	Host     []string // providers' names or suffixes of the relay's host name
	Code     []string // reply codes; 5xx means 500 to 599
	Enhanced []string // enhanced status codes; x.7.1 means 4.7.1 and 5.7.1
	Stage    []string
	When     []string // all of these facts are known about the attempt; see factNames
	Unless   []string // and none of these
	Any      []string // the text holds one of these
	URL      []string // or a URL in the text holds one of these
	All      []string // and the text holds all of these
	Not      []string // and none of these
	NotURL   []string // and no URL holds one of these
	Has      []string // concepts in one sentence of the text; see Concept
	Lacks    []string // and none of these in that sentence
	Re       string   // RE2 expression that matches the text
	Over     []string // rules of the same tier that this one precedes

	Seen    string   // its documentation
	Since   string   // when the rule was written or last checked
	Yes, No []string // texts that it must match, and near misses that it must not
}

// A Tier is the rank of a rule. Only the matching rules of the lowest tier are considered; of
// these, the one with the longest literal decides.
type Tier uint8

// The tiers. The user's rules come before all built-in rules and have the same order among
// themselves.
const (
	TierUser     Tier = iota
	TierHostText      // known wording of a provider
	TierHostCode      // a code with a special meaning at a provider
	TierText          // wording that names the cause
	TierConcept       // a subject and a statement about it, in any words; the first rule decides
	TierEnhanced      // an enhanced status code of the IANA registry that names a cause
	TierGeneral       // wording that names no cause by itself ("mailbox unavailable")
	TierCode          // a reply code, or an enhanced status code that is no more exact
)

var tierNames = [...]string{"user", "host text", "host code", "text", "concepts", "enhanced code", "general text", "code"}

func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("?%d", t)
}

// confidence returns the confidence of a verdict by a rule of the tier.
func (t Tier) confidence() bounce.Confidence {
	switch t {
	case TierHostCode:
		return bounce.ProviderCode
	case TierConcept, TierGeneral:
		return bounce.GeneralText
	case TierEnhanced, TierCode:
		return bounce.CodeOnly
	}
	return bounce.NamedCause
}

// A Concept is a set of words for one subject of replies: the recipient, the content, a
// prohibition. Rules with concepts judge unknown wordings. They are tried in the order of the file.
type Concept struct {
	ID  string
	Any []string // literals, as in rules
}

// A Provider is a mail provider, or a filter that others put in front of their servers. Its hosts'
// names identify it.
type Provider struct {
	ID    string   // its name in rules
	Name  string   // for people
	Hosts []string // suffixes of its hosts' names
	Pages []string // its own pages on replies, most useful first
}

// Limits of a user's file of rules.
const (
	maxRuleFile = 1 << 20 // bytes
	maxRules    = 2000
	maxLiterals = 20_000 // in all rules of a file
	maxRe       = 1000   // bytes of one expression
)

// A ruleText is a rule as written in the file.
type ruleText struct {
	ID, Reason, Detail, Scope         string
	Host, Code, Enhanced, Stage, Over []string
	When, Unless                      []string
	Any, All, Not, URL, NotURL        []string
	Has, Lacks, Yes, No               []string
	Re, Seen, Since                   string
	General                           bool
}

// keys returns the keys of a rule and the destinations of their values.
func (t *ruleText) keys() map[string]any {
	return map[string]any{
		"id": &t.ID, "reason": &t.Reason, "detail": &t.Detail, "scope": &t.Scope, "host": &t.Host, "code": &t.Code,
		"enhanced": &t.Enhanced, "stage": &t.Stage, "when": &t.When, "unless": &t.Unless, "over": &t.Over, "any": &t.Any, "all": &t.All, "not": &t.Not,
		"url": &t.URL, "not_url": &t.NotURL, "has": &t.Has, "lacks": &t.Lacks, "yes": &t.Yes, "no": &t.No, "re": &t.Re, "seen": &t.Seen, "since": &t.Since,
		"general": &t.General,
	}
}

func providerKeys(p *Provider) map[string]any {
	return map[string]any{"id": &p.ID, "name": &p.Name, "hosts": &p.Hosts, "pages": &p.Pages}
}

// set sets the value of a key. A list may be written as a single text.
func set(to, value any) error {
	switch to := to.(type) {
	case *string:
		if v, ok := value.(string); ok {
			*to = v
			return nil
		}
		return errors.New("a text is needed")
	case *bool:
		if v, ok := value.(bool); ok {
			*to = v
			return nil
		}
		return errors.New("true or false is needed")
	case *[]string:
		switch v := value.(type) {
		case string:
			*to = []string{v}
			return nil
		case []string:
			*to = v
			return nil
		}
	}
	return errors.New("a text or a list of texts is needed")
}

// parseRules reads a file of rules.
func parseRules(text []byte) (*ruleFile, error) {
	list, err := config.ParseArrays(text, maxRuleFile)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	since := "" // default for rules without the key
	var texts []ruleText
	var file ruleFile
	var keys map[string]any // of the current table
	for _, s := range list {
		switch {
		case len(s.Path) == 2 && s.Item > 0 && s.Key() == "":
			switch s.Path[0] {
			case "rule":
				if s.Item > maxRules {
					return nil, fmt.Errorf("rules: more than %d rules", maxRules)
				}
				texts = append(texts, ruleText{})
				keys = texts[s.Item-1].keys()
				continue
			case "provider":
				file.providers = append(file.providers, Provider{})
				keys = providerKeys(&file.providers[s.Item-1])
				continue
			case "concept":
				file.concepts = append(file.concepts, Concept{})
				c := &file.concepts[s.Item-1]
				keys = map[string]any{"id": &c.ID, "any": &c.Any}
				continue
			}
		case len(s.Path) == 2 && s.Item > 0 && keys[s.Key()] != nil:
			if err := set(keys[s.Key()], s.Value); err != nil {
				return nil, fmt.Errorf("rules: line %d: %s: %w", s.Line, s.Key(), err)
			}
			continue
		case len(s.Path) == 1 && s.Key() == "since":
			if err := set(&since, s.Value); err != nil {
				return nil, fmt.Errorf("rules: line %d: since: %w", s.Line, err)
			}
			continue
		}
		return nil, fmt.Errorf("rules: line %d: unknown key %q", s.Line, strings.TrimSuffix(strings.Join(s.Path, "."), "."))
	}
	seen := map[string]bool{}
	literals := 0
	for i, t := range texts {
		if t.Since == "" {
			t.Since = since
		}
		r, err := t.rule()
		if err == nil && seen[r.ID] {
			err = errors.New("another rule has the same id")
		}
		if err != nil {
			id := t.ID
			if id == "" {
				id = fmt.Sprintf("number %d", i+1)
			}
			return nil, fmt.Errorf("rule %s: %w", id, err)
		}
		if literals += len(r.Any) + len(r.All) + len(r.Not) + len(r.URL); literals > maxLiterals {
			return nil, fmt.Errorf("rules: more than %d texts to look for", maxLiterals)
		}
		seen[r.ID] = true
		file.rules = append(file.rules, r)
	}
	for _, c := range file.concepts {
		if !ruleID.MatchString(c.ID) || len(c.Any) == 0 || checkLiterals(c.Any) != nil {
			return nil, fmt.Errorf("concept %q: an id and texts of at least two letters are needed", c.ID)
		}
	}
	for _, p := range file.providers {
		if p.ID == "" || strings.Contains(p.ID, ".") || len(p.Hosts) == 0 {
			return nil, fmt.Errorf("provider %q: an id without a dot and hosts are needed", p.ID)
		}
	}
	return &file, nil
}

// A ruleFile is the content of a file of rules.
type ruleFile struct {
	rules     []Rule
	providers []Provider
	concepts  []Concept
}

// enhancedRange reads "5.7.1", "x.7.1" or "5.7.606-649". It returns the first and the last code,
// with class 5 for x.
func enhancedRange(s string) (first, last bounce.EnhancedCode, ok bool) {
	s, end, ranged := strings.Cut(s, "-")
	if first, ok = bounce.ParseEnhanced(strings.Replace(s, "x", "5", 1)); !ok || !ranged {
		return first, first, ok
	}
	last, ok = bounce.ParseEnhanced(fmt.Sprintf("%d.%d.%s", first.Class(), first.Subject(), end))
	return first, last, ok && last > first
}

// ownCodes reports whether codes are a provider's own, far beyond those of the IANA registry. Such
// codes have the same meaning everywhere.
func ownCodes(codes []string) bool {
	return !slices.ContainsFunc(codes, func(s string) bool {
		first, _, _ := enhancedRange(s)
		return first.Detail() < 100
	})
}

var ruleID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

// rule checks a rule and sets the fields that follow from others.
func (t *ruleText) rule() (Rule, error) {
	r := Rule{
		ID: t.ID, Detail: t.Detail, Host: t.Host, Code: t.Code, Enhanced: t.Enhanced, Stage: t.Stage, When: t.When, Unless: t.Unless, Over: t.Over,
		Has: t.Has, Lacks: t.Lacks, Any: t.Any, All: t.All, Not: t.Not, NotURL: t.NotURL, URL: t.URL, Re: t.Re, Seen: t.Seen, Since: t.Since, Yes: t.Yes, No: t.No,
	}
	if !ruleID.MatchString(r.ID) {
		return r, errors.New("an id of lower-case letters, digits, dots and hyphens is needed")
	}
	var ok bool
	if r.Reason, ok = bounce.ParseReason(t.Reason); !ok || r.Reason == bounce.NoReason {
		return r, fmt.Errorf("%q is no reason", t.Reason)
	}
	if r.Scope, ok = bounce.ParseScope(t.Scope); !ok {
		return r, fmt.Errorf("%q is no scope", t.Scope)
	}
	if t.Scope == "" {
		r.Scope = ReasonText(r.Reason).Scope
	}
	for _, c := range r.Code {
		if len(c) != 3 || c[0] < '2' || c[0] > '5' || c[1:] != "xx" && (!isDigit(c[1]) || !isDigit(c[2])) {
			return r, fmt.Errorf("%q is no reply code", c)
		}
	}
	for _, e := range r.Enhanced {
		if _, _, ok := enhancedRange(e); !ok {
			return r, fmt.Errorf("%q is no enhanced status code", e)
		}
	}
	for _, s := range r.Stage {
		if st, ok := bounce.ParseStage(s); !ok || st == bounce.NoStage {
			return r, fmt.Errorf("%q is no stage", s)
		}
	}
	for _, name := range slices.Concat(r.When, r.Unless) {
		if _, ok := parseFact(name); !ok {
			return r, fmt.Errorf("%q is no fact; there are %s", name, strings.Join(factNames[:], ", "))
		}
	}
	for _, h := range r.Host {
		if h == "" || strings.ContainsAny(h, " */") {
			return r, fmt.Errorf("%q is no suffix of a host name", h)
		}
	}
	if err := checkLiterals(slices.Concat(r.Any, r.All, r.Not, r.URL, r.NotURL)); err != nil {
		return r, err
	}
	if r.Re != "" {
		if len(r.Re) > maxRe {
			return r, fmt.Errorf("re is longer than %d bytes", maxRe)
		}
		if _, err := regexp.Compile(foldRe(r.Re)); err != nil {
			return r, fmt.Errorf("re: %w", err)
		}
	}
	text := len(r.Any)+len(r.URL) > 0
	switch {
	case len(r.Has) > 0:
		if text || r.Re != "" {
			return r, errors.New("has needs no any, url or re beside it")
		}
		r.Tier = TierConcept
	case !text && len(r.All)+len(r.Not)+len(r.NotURL) > 0 || !text && r.Re != "":
		return r, errors.New("all, not and re need any or url beside them")
	case len(r.Host) > 0 && text:
		r.Tier = TierHostText
	case len(r.Host) > 0 && len(r.Enhanced)+len(r.Code) > 0:
		r.Tier = TierHostCode
	case text && t.General:
		r.Tier = TierGeneral
	case text:
		r.Tier = TierText
	case len(r.Enhanced) > 0 && ownCodes(r.Enhanced):
		r.Tier = TierHostCode
	case len(r.Enhanced) > 0:
		r.Tier = TierEnhanced
	case len(r.Code) > 0:
		r.Tier = TierCode
	default:
		return r, errors.New("any, url, enhanced or code is needed")
	}
	return r, nil
}

func checkLiterals(list []string) error {
	for _, l := range list {
		if len(strings.Trim(l, "|")) < 2 {
			return fmt.Errorf("the text %q is too short", l)
		}
		if len(l) > 200 {
			return fmt.Errorf("the text %.20q… is too long", l)
		}
	}
	return nil
}

// foldRe replaces the tokens in an expression by their bytes in folded text.
func foldRe(re string) string {
	for _, tok := range [...]string{bounce.TokenAddr, bounce.TokenIP, bounce.TokenHost, bounce.TokenID, bounce.TokenN} {
		re = strings.ReplaceAll(re, tok, string(foldToken(tok)))
	}
	return re
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
