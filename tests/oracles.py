"""References in plain numpy and Python: slow, short, and in float64.

They share no code with the package: a model's parameters are read by name, and every
time step, example and layer is a Python loop.
"""

import functools
import itertools
import math

import numpy as np

PAD, BOS, EOS = 0, 1, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def softmax(x):
    exponentials = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def log_softmax(x):
    shifted = x - np.max(x, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def split(a, blocks):
    return np.split(np.asarray(a), blocks)


def lstm(params, x, state, context):
    """Gates in the order i, f, g, o; the state is (h, c)."""
    h, c = state
    a = affine(params, x, context) + h @ params["recurrent_kernel"]
    i, f, g, o = split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def layernorm_lstm(params, x, state, context):
    """Three norms: of what the input gives, of what h gives, and of c."""
    h, c = state
    a = params["input_gain"] * normalised(affine(params, x, context, bias=0))
    a = a + params["recurrent_gain"] * normalised(h @ params["recurrent_kernel"])
    i, f, g, o = split(a + params["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    n = params["cell_gain"] * normalised(c) + params["cell_bias"]
    return sigmoid(o) * np.tanh(n), c


def gru(params, x, state, context):
    """Blocks in the order r, u, n; the reset gate after the product."""
    (h,) = state
    z_r, z_u, z_n = split(affine(params, x, context), 3)
    m_r, m_u, m_n = split(h @ params["recurrent_kernel"], 3)
    r, u = sigmoid(z_r + m_r), sigmoid(z_u + m_u)
    n = np.tanh(z_n + r * (m_n + params["recurrent_bias"]))
    return ((1 - u) * n + u * h,)


def gru_reset_before(params, x, state, context):
    (h,) = state
    z_r, z_u, z_n = split(affine(params, x, context), 3)
    U_r, U_u, U_n = np.split(params["recurrent_kernel"], 3, axis=1)
    r, u = sigmoid(z_r + h @ U_r), sigmoid(z_u + h @ U_u)
    return ((1 - u) * np.tanh(z_n + (r * h) @ U_n) + u * h,)


def mingru(params, x, state, context):
    """Neither the gate nor the candidate reads the state."""
    u, n = split(affine(params, x, context), 2)
    return ((1 - sigmoid(u)) * state[0] + sigmoid(u) * n,)


def rnn(params, x, state, context):
    a = affine(params, x, context) + state[0] @ params["recurrent_kernel"]
    return (np.tanh(a),)


def affine(params, x, context, bias=1):
    z = x @ params["input_kernel"] + bias * params["bias"]
    return z if context is None else z + context @ params["context_kernel"]


def normalised(a):
    return (a - np.mean(a)) / np.sqrt(np.mean((a - np.mean(a)) ** 2) + 1e-5)


CELLS = {
    "lstm": lstm,
    "layernorm_lstm": layernorm_lstm,
    "gru": gru,
    "gru:reset=before": gru_reset_before,
    "mingru": mingru,
    "rnn": rnn,
}


def state_parts(spec):
    return 2 if "lstm" in spec else 1


def cell_step(spec, params, x, state, context=None):
    """One step of a layer from its input x [I], for one example."""
    return CELLS[spec](to_float64(params), np.asarray(x, np.float64), state, context)


def keras_lstm(xs, kernel, recurrent_kernel, bias):
    """`keras.layers.LSTM` on xs [T, I]: gates i, f, c, o; outputs [T, D]."""
    h = c = np.zeros(recurrent_kernel.shape[0])
    outputs = []
    for x in xs:
        i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def keras_gru(xs, kernel, recurrent_kernel, bias):
    """`keras.layers.GRU(reset_after=True)`: gates z, r, h; bias [2, 3 D]."""
    h = np.zeros(recurrent_kernel.shape[0])
    outputs = []
    for x in xs:
        x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3)
        h_z, h_r, h_h = np.split(h @ recurrent_kernel + bias[1], 3)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        h = z * h + (1 - z) * np.tanh(x_h + r * h_h)
        outputs.append(h)
    return np.array(outputs)


def kind_of(spec):
    """A spec's name and its arguments, as text."""
    name, _, rest = spec.partition(":")
    return name, dict(each.split("=") for each in rest.split(",") if each)


def look(spec, params, query, memory, last):
    """Any attention's look of one example over its real symbols: the context [C], the
    weights of each head [H, S], and what the next look is given as `last`.
    """
    kind, arguments = kind_of(spec)
    length = len(memory)
    if kind == "multi_head":
        return look_with_heads(params, query, memory, int(arguments.get("heads", 4)))
    if not length:
        return np.zeros(memory.shape[1]), np.zeros((1, 0)), last
    if kind == "dot":
        energies = memory @ query
    elif kind == "general":
        energies = [query @ (m @ params["key_kernel"]) for m in memory]
    elif kind == "scaled_dot":
        asked = query @ params["query_kernel"]
        keys = memory @ params["key_kernel"]
        energies = [asked @ key / math.sqrt(len(key)) for key in keys]
    else:
        inner = memory @ params["key_kernel"] + params["bias"]
        inner = inner + query @ params["query_kernel"]
        if kind == "location_sensitive":
            inner = inner + location_features(params, last, length)
        energies = np.tanh(inner) @ params["score"]
    weights = softmax(np.array(energies))
    cumulative = arguments.get("cumulative") == "true"
    new = weights if last is None or not cumulative else last + weights
    return weights @ memory, weights[None], new


def location_features(params, last, length):
    """The convolution of the weights before, place by place, [S, A]."""
    last = np.zeros(length) if last is None else last
    filters = params["filter_kernel"]
    features = np.zeros((length, filters.shape[1]))
    for place in range(length):
        for offset, row in enumerate(filters):
            around = place + offset - len(filters) // 2
            if 0 <= around < length:
                features[place] += last[around] * row
    return features @ params["feature_kernel"]


def look_with_heads(params, query, memory, heads):
    """One look of scaled dot products, head by head."""
    asked, keys, values = (
        np.split(x @ params[f"{name}_kernel"] + params[f"{name}_bias"], heads, axis=-1)
        for name, x in (("query", query), ("key", memory), ("value", memory))
    )
    weights, found = [], []
    for one, key, value in zip(asked, keys, values, strict=True):
        energies = key @ one / math.sqrt(len(one))
        weights.append(softmax(energies) if len(memory) else energies)
        found.append(weights[-1] @ value)
    context = np.concatenate(found) @ params["output_kernel"] + params["output_bias"]
    return context, np.array(weights), None


def keras_gru_reset_before(xs, kernel, recurrent_kernel, bias):
    """`keras.layers.GRU(reset_after=False)`: gates z, r, h; bias [3 D]."""
    h = np.zeros(recurrent_kernel.shape[0])
    U_z, U_r, U_h = np.split(recurrent_kernel, 3, axis=1)
    outputs = []
    for x in xs:
        x_z, x_r, x_h = np.split(x @ kernel + bias, 3)
        z, r = sigmoid(x_z + h @ U_z), sigmoid(x_r + h @ U_r)
        h = z * h + (1 - z) * np.tanh(x_h + (r * h) @ U_h)
        outputs.append(h)
    return np.array(outputs)


def to_float64(params):
    if isinstance(params, dict):
        return {name: to_float64(value) for name, value in params.items()}
    return np.asarray(params, np.float64)


class Model:
    """A whole model, one unpadded example at a time.

    `scales`, where given, holds the dropout factors of one example: `source` [S, E],
    `encoder_0` .. [S, C], `state_0_0` .. [D], `target` [T, E], `decoder` [T, L, D].
    """

    def __init__(self, config, params, scales=None):
        self.config, self.params = config, to_float64(params)
        if config.share_embeddings:
            table = self.params["embed"]["table"]
            size = len(self.params["decoder"]["output_bias"])
            for side, rows in (("encoder", table), ("decoder", table[:size])):
                self.params[side] = self.params[side] | {"embed": {"table": rows}}
        self.scales = scales or {}
        self.parts = state_parts(config.cell)

    def scale(self, name, index):
        return self.scales[name][index] if name in self.scales else 1.0

    def embed(self, params, x):
        """A token id, a distribution or numbers, as what the first layer reads."""
        if np.ndim(x) and "table" not in params.get("embed", {}):
            dense = params.get("embed")
            return x @ dense["kernel"] + dense["bias"] if dense else np.asarray(x)
        kernel = params["forward_0" if "forward_0" in params else "layer_0"]
        size = kernel["input_kernel"].shape[0]
        if "embed" in params:
            size = params["embed"]["table"].shape[0]
        one_hot = np.eye(size)[x] if np.ndim(x) == 0 else np.asarray(x)
        return one_hot @ params["embed"]["table"] if "embed" in params else one_hot

    def encode(self, source):
        """Memory [S, C] and the states, per layer and direction."""
        config, params = self.config, self.params["encoder"]
        xs = [
            self.embed(params, token) * self.scale("source", time)
            for time, token in enumerate(source)
        ]
        states = []
        for depth in range(config.layers):
            sides, final = [], []
            for side in ("forward", "backward")[: 1 + config.bidirectional]:
                layer = params[f"{side}_{depth}"]
                state = tuple(np.zeros(config.units) for _ in range(self.parts))
                order = range(len(xs))
                outputs = [None] * len(xs)
                for time in order if side == "forward" else reversed(order):
                    state = cell_step(config.cell, layer, xs[time], state)
                    outputs[time] = state[0]
                sides.append(outputs)
                final.append(state)
            states.append(final)
            xs = [
                np.concatenate(both) * self.scale(f"encoder_{depth}", time)
                for time, both in enumerate(zip(*sides, strict=True))
            ]
        width = config.units * (1 + config.bidirectional)
        return np.array(xs).reshape(len(source), width), states

    def labels(self, source, symbols=True):
        """Logits [T, V], or numbers, of a model without a decoder."""
        config, ahead = self.config, self.config.lookahead
        end = EOS if np.ndim(source) < 2 else np.zeros(source.shape[1])
        memory, states = self.encode([*source, *[end] * ahead])
        read = memory[ahead:]
        if config.architecture == "classifier" and config.pooling == "last":
            read = [np.concatenate([state[0] for state in states[-1]])]
        elif config.architecture == "classifier":
            weights = np.full(len(source), 1 / max(len(source), 1))
            if config.pooling == "attention" and len(source):
                pooling = self.params["pooling"]
                key = pooling["key"]
                keys = np.tanh(memory @ key["kernel"] + key["bias"])
                weights = softmax(keys @ pooling["score"])
            read = [weights @ memory]
        kernel, bias = self.params["output_kernel"], self.params["output_bias"]
        said = np.array([kernel @ row + bias for row in read])
        said = said.reshape(len(read), len(bias))
        if symbols:
            said[:, : EOS + 1] = -np.inf
        return said

    def start(self, states, memory):
        """What the decoder starts from: states, last weights, attentional vector."""
        config = self.config
        self.told = np.concatenate([side[0] for side in states[-1]])
        if config.latent:
            connect = self.params["decoder"]["connect"]
            read = np.concatenate(
                [part for sides in states for s in sides for part in s]
            )
            self.told = read @ connect["code"]["kernel"] + connect["code"]["bias"]
            new = []
            for depth in range(config.layers):
                dense = [
                    connect[f"layer_{depth}_part_{part}"] for part in range(self.parts)
                ]
                mapped = [self.told @ one["kernel"] + one["bias"] for one in dense]
                new.append([np.tanh(mapped[0]), *mapped[1:]])
        elif config.bridge == "zero":
            new = [[np.zeros(config.units)] * self.parts] * config.layers
        elif config.bridge.startswith("copy"):
            side = 1 if config.bridge.endswith("backward") else 0
            new = [sides[side] for sides in states]
        elif config.bridge == "learned":
            learned = self.params["decoder"]["connect"]
            names = ("h", "c")[: self.parts]
            new = [
                [learned[f"layer_{depth}_{name}"] for name in names]
                for depth in range(config.layers)
            ]
        else:
            new = []
            for depth, sides in enumerate(states):
                parts = []
                for part in range(self.parts):
                    name = f"layer_{depth}_part_{part}"
                    dense = self.params["decoder"]["connect"][name]
                    read = np.concatenate([side[part] for side in sides])
                    if config.bridge == "mean":
                        read = np.sum(memory, axis=0) / max(len(memory), 1)
                    mapped = read @ dense["kernel"] + dense["bias"]
                    parts.append(np.tanh(mapped) if part == 0 else mapped)
                new.append(parts)
        states = [
            tuple(
                value * self.scale(f"state_{depth}_{part}", ...)
                for part, value in enumerate(state)
            )
            for depth, state in enumerate(new)
        ]
        return states, None, np.zeros(config.units)

    def step(self, carry, x, memory, time=0):
        """One decoder step of one example: carry, logits [V], weights [S]."""
        config, params = self.config, self.params["decoder"]
        states, last, said = carry
        fed = config.context == "input_feeding"
        below = self.embed(params, x) * self.scale("target", time)
        context = weights = None
        new = []
        for depth, state in enumerate(states):
            layer = params[f"layer_{depth}"]
            second = None
            if depth == 0 and config.attention != "none" and config.context == "cell":
                context, weights, last = self.look(state[0], memory, last)
                second = context
            if depth == 0 and fed:
                second = said
            if depth == 0 and config.context == "constant":
                second = self.told
            state = cell_step(config.cell, layer, below, state, second)
            below = state[0]
            if "decoder" in self.scales:
                below = below * self.scales["decoder"][time, depth]
            new.append(state)
        if config.context not in ("cell", "constant"):
            context, weights, last = self.look(below, memory, last)
        if context is not None:
            read = np.concatenate([below, context])
            below = np.tanh(read @ params["readout_kernel"] + params["readout_bias"])
        kernel = params.get("output_kernel")
        if config.tie_output:
            kernel = params["embed"]["table"]
            if "tied_kernel" in params:
                kernel = kernel @ params["tied_kernel"].T
        logits = kernel @ below + params["output_bias"]
        logits[:EOS] = -np.inf
        mean = None if weights is None else weights.mean(axis=0)
        return (new, last, below if fed else None), logits, mean

    def look(self, query, memory, last):
        attention = self.params["decoder"].get("attention", {})
        return look(self.config.attention, attention, query, memory, last)

    def forced(self, source, inputs):
        """Logits [T, V] and attention [T, S] of known inputs."""
        memory, encoded = self.encode(source)
        carry, logits, weights = self.start(encoded, memory), [], []
        for time, x in enumerate(inputs):
            carry, scores, looked = self.step(carry, x, memory, time)
            logits.append(scores)
            weights.append(looked)
        return np.array(logits), weights

    def greedy(self, source, limit):
        """Tokens, log-probability and whether there was no EOS."""
        memory, encoded = self.encode(source)
        first = self.start(encoded, memory)

        def step(carry, token):
            carry, logits, _ = self.step(carry, token, memory)
            return carry, logits

        return greedy(step, first, limit)


def greedy(step, carry, limit):
    """Greedy decoding of one example: `step(carry, token) -> (carry, logits)`."""
    token, tokens, score = BOS, [], 0.0
    while len(tokens) < limit:
        carry, logits = step(carry, token)
        log_probs = log_softmax(np.asarray(logits, np.float64))
        token = int(np.argmax(log_probs))
        score += log_probs[token]
        tokens.append(token)
        if token == EOS:
            break
    return tokens, score, token != EOS


def beam(next_log_probs, size, limit, count, normalise=lambda log_prob, n: log_prob):
    """Beam search of one example by the rule: of all candidates an EOS among the best
    `size` completes, and the best `size` others of the best `2 size` live on.

    `next_log_probs(tokens) -> [V]`. Returns [(score, tokens)] and whether it is cut.
    """
    live, complete, cut = [(0.0, ())], [], (0.0, ())
    for _ in range(limit):
        candidates = [
            (log_prob + step, (*tokens, token))
            for log_prob, tokens in live
            for token, step in enumerate(next_log_probs(tokens))
            if step > -np.inf
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        complete += [each for each in candidates[:size] if each[1][-1] == EOS]
        live = [each for each in candidates[: 2 * size] if each[1][-1] != EOS][:size]
        if not live:
            break
        cut = live[0]
    scored = [(normalise(p, len(tokens)), tokens) for p, tokens in complete]
    scored.sort(key=lambda hypothesis: -hypothesis[0])
    if scored:
        return scored[:count], False
    return [(normalise(cut[0], max(len(cut[1]), 1)), cut[1])], True


def nll(logits, target):
    """-log p(target), in nats, of one example: logits [T, V], target [T]."""
    log_probs = log_softmax(np.asarray(logits, np.float64))
    return -sum(log_probs[time, token] for time, token in enumerate(target))


def edit_distance(one, other):
    """Levenshtein distance by its recursive definition (Wagner and Fischer 1974)."""

    @functools.cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (one[i - 1] != other[j - 1]),
        )

    return distance(len(one), len(other))


def complete_sequences(vocabulary, longest):
    """Every sequence of ids that ends with its one EOS, of at most `longest` tokens."""
    symbols = [token for token in range(vocabulary) if token > EOS]
    for length in range(longest):
        for body in itertools.product(symbols, repeat=length):
            yield (*body, EOS)


def is_binomial(count, trials, probability, deviations=5):
    """Whether a count lies within that many standard deviations of its mean."""
    spread = math.sqrt(trials * probability * (1 - probability))
    return abs(count - trials * probability) <= deviations * spread + 1e-9
