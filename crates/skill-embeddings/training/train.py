"""Trains an adapter for queries: small matrices that change how a model reads what people ask (LoRA, Hu et al. 2021).

The vectors of the skills stay as they are; a query is moved towards those of its skill, and away from those of all others.
Reads what the example `training_data` wrote. See README.md for the commands and the results.
"""

import argparse
import hashlib
import json
import time
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

# As the fusion of the crate: the nearest vector of a skill, and that of its name, description and headings.
NEAREST_WEIGHT, OWN_WEIGHT = 0.7, 0.3
# Divides the scores before the softmax. Smaller values look at fewer, nearer skills.
TEMPERATURE = 0.05
LEARNING_RATE = 1e-3
BATCH = 64
# Longer queries are cut: few wishes have more tokens, and the time grows with it.
TRAINED_TOKENS = 32
TOKENS = 48
# Skills this near to one of the test wishes are left out, as are those with its name.
NEAR = 0.8
# One of this many skills is held out, to choose the settings.
HOLD_OUT = 8
RANKS = 5, 10


def read_json(file):
    return json.loads(file.read_text()) if file.exists() else {}


class Encoder:
    """The BERT encoder of the crate, for queries."""

    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.epsilon = config["layer_norm_eps"]
        pooling = read_json(folder / "1_Pooling" / "config.json")
        self.pools_first = pooling.get("pooling_mode_cls_token", False)
        prompts = read_json(folder / "config_sentence_transformers.json")
        by_name = prompts.get("prompts") or {}
        self.prompt = by_name.get("query", by_name.get(prompts.get("default_prompt_name"), ""))
        weights = load_file(folder / "model.safetensors")
        self.weights = {
            name.removeprefix("bert."): jnp.asarray(value, jnp.float32)
            for name, value in weights.items()
            if np.issubdtype(value.dtype, np.floating)
        }
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()

    def matrices(self):
        parts = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        parts += ["intermediate.dense", "output.dense"]
        return [f"encoder.layer.{layer}.{part}" for layer in range(self.layers) for part in parts]

    def tokens(self, texts, length):
        self.tokenizer.enable_truncation(length)
        ids = np.zeros((len(texts), length), np.int32)
        mask = np.zeros((len(texts), length), bool)
        for row, encoding in enumerate(self.tokenizer.encode_batch([self.prompt + text for text in texts])):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = True
        return ids, mask

    def linear(self, states, name, adapter):
        output = states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        if adapter is not None:
            output += states @ adapter[f"{name}.lora_A.weight"].T @ adapter[f"{name}.lora_B.weight"].T
        return output

    def normalized(self, states, name):
        centred = states - states.mean(-1, keepdims=True)
        scale = jnp.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon)
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def __call__(self, ids, mask, adapter):
        batch, length = ids.shape
        states = self.weights["embeddings.word_embeddings.weight"][ids]
        states += self.weights["embeddings.position_embeddings.weight"][:length]
        states += self.weights["embeddings.token_type_embeddings.weight"][0]
        states = self.normalized(states, "embeddings.LayerNorm")
        hidden = states.shape[-1]
        padding = jnp.where(mask, 0, -1e9)[:, None, None, :]
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                self.linear(states, f"{name}.attention.self.{part}", adapter)
                .reshape(batch, length, self.heads, hidden // self.heads)
                .transpose(0, 2, 1, 3)
                for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(hidden // self.heads)
            attended = (jax.nn.softmax(scores + padding, -1) @ value).transpose(0, 2, 1, 3)
            attended = attended.reshape(batch, length, hidden)
            output = self.linear(attended, f"{name}.attention.output.dense", adapter)
            states = self.normalized(output + states, f"{name}.attention.output.LayerNorm")
            inner = jax.nn.gelu(self.linear(states, f"{name}.intermediate.dense", adapter), approximate=False)
            output = self.linear(inner, f"{name}.output.dense", adapter)
            states = self.normalized(output + states, f"{name}.output.LayerNorm")
        if self.pools_first:
            pooled = states[:, 0]
        else:
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1)[:, None]
        return pooled / jnp.linalg.norm(pooled, axis=1, keepdims=True)


class Skills:
    """The vectors of the skills, as many rows for each as the one with the most has."""

    def __init__(self, file):
        tensors = load_file(file)
        vectors = tensors["vectors"] / np.linalg.norm(tensors["vectors"], axis=1, keepdims=True)
        owners = tensors["owners"]
        rows = [np.flatnonzero(owners == skill) for skill in range(owners.max() + 1)]
        most = max(map(len, rows))
        self.vectors = jnp.asarray(vectors)
        self.first = jnp.array([row[0] for row in rows])
        self.rows = jnp.array([np.resize(np.append(row, [row[0]] * most), most) for row in rows])

    def scores(self, queries):
        cosines = queries @ self.vectors.T
        return NEAREST_WEIGHT * cosines[:, self.rows].max(-1) + OWN_WEIGHT * cosines[:, self.first]

    def near(self, skills):
        """The skills that are near to one of these."""
        own = np.asarray(self.vectors[self.first])
        return set(np.flatnonzero((own @ own[sorted(skills)].T).max(1) > NEAR).tolist())


def read_queries(file, skills):
    """The queries of the training and of the test sets. None of the first is for a skill of the second, or one like it."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    tests = [line for line in lines if line["set"] == "test"]
    fulfilling = {skill for line in tests for skill in [line["skill"], *line["others"]]}
    tested_names = {name for line in tests for name in line["names"]}
    near = skills.near(fulfilling)
    kept = [
        line
        for line in lines
        if line["set"] != "test" and line["skill"] not in near and line["names"][0] not in tested_names
    ]
    return kept, tests, [line for line in lines if line["set"] == "request"]


def show(title, encoder, adapter, skills, sets):
    embed = jax.jit(lambda ids, mask: encoder(ids, mask, adapter))
    parts = []
    for name, lines in sets.items():
        ranks = []
        for start in range(0, len(lines), BATCH):
            batch = lines[start : start + BATCH]
            # Always the same shape, so that it is compiled once.
            texts = [line["text"] for line in batch] + [""] * (BATCH - len(batch))
            scores = np.asarray(skills.scores(embed(*encoder.tokens(texts, TOKENS))))[: len(batch)]
            own = scores[np.arange(len(batch)), [line["skill"] for line in batch]]
            ranks += (scores > own[:, None]).sum(1).tolist()
        shares = " ".join(f"@{k} {np.mean(np.array(ranks) < k):.3f}" for k in RANKS)
        parts.append(f"{name} ({len(lines)}) {shares}")
    print(f"{title:28s} {'   '.join(parts)}", flush=True)


def train(arguments, encoder, skills, lines, sets):
    random = np.random.RandomState(arguments.seed)
    adapter = {}
    for name in encoder.matrices():
        outputs, inputs = encoder.weights[f"{name}.weight"].shape
        down = random.standard_normal((arguments.rank, inputs)) / np.sqrt(inputs)
        adapter[f"{name}.lora_A.weight"] = jnp.asarray(down, jnp.float32)
        adapter[f"{name}.lora_B.weight"] = jnp.zeros((outputs, arguments.rank))
    steps = arguments.epochs * (len(lines) // BATCH)
    schedule = optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, steps // 10, steps, LEARNING_RATE / 20)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.01))
    state = optimizer.init(adapter)
    ids, mask = encoder.tokens([line["text"] for line in lines], TRAINED_TOKENS)
    targets = np.array([line["skill"] for line in lines])

    def loss(adapter, ids, mask, targets):
        scores = skills.scores(encoder(ids, mask, adapter)) / TEMPERATURE
        return -jax.nn.log_softmax(scores)[jnp.arange(len(targets)), targets].mean()

    @jax.jit
    def step(adapter, state, ids, mask, targets):
        value, gradient = jax.value_and_grad(loss)(adapter, ids, mask, targets)
        updates, state = optimizer.update(gradient, state, adapter)
        return optax.apply_updates(adapter, updates), state, value

    start = time.monotonic()
    for epoch in range(arguments.epochs):
        order = random.permutation(len(lines))
        losses = []
        for at in range(0, len(lines) - BATCH + 1, BATCH):
            batch = order[at : at + BATCH]
            adapter, state, value = step(adapter, state, ids[batch], mask[batch], targets[batch])
            losses.append(float(value))
        title = f"epoch {epoch + 1}, loss {np.mean(losses):.3f}, {time.monotonic() - start:.0f} s"
        show(title, encoder, adapter, skills, sets)
    return adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("data", type=Path, help="folder that the example training_data wrote")
    parser.add_argument("output", type=Path, help="file for the adapter, for example all-MiniLM-L6-v2.safetensors")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hold-out", action="store_true", help="keep the wishes of an eighth of the skills for a test")
    parser.add_argument("--show-tests", action="store_true", help="show the test wishes too, at the end")
    arguments = parser.parse_args()

    encoder = Encoder(arguments.model)
    skills = Skills(arguments.data / "documents.safetensors")
    lines, tests, requests = read_queries(arguments.data / "queries.jsonl", skills)
    held = [line for line in lines if line["set"] == "wish" and zlib.crc32(line["id"].encode()) % HOLD_OUT == 0]
    # Requests of one half of the skills; the other half shows whether requests improve.
    trained = [line for line in lines if line["set"] == "wish" or line["half"] == 0]
    if arguments.hold_out:
        held_skills = {line["skill"] for line in held}
        trained = [line for line in trained if line["skill"] not in held_skills]
    seen = {line["skill"] for line in trained}
    sets = {"requests of other skills": [line for line in requests if line["skill"] not in seen]}
    if arguments.hold_out:
        sets["held-out wishes"] = held
    print(f"{len(trained)} queries of {len(seen)} skills", flush=True)
    show("without adapter", encoder, None, skills, sets)
    adapter = train(arguments, encoder, skills, trained, sets)

    small = {name: np.asarray(value).astype(ml_dtypes.bfloat16) for name, value in adapter.items()}
    digest = hashlib.sha256((arguments.model / "model.safetensors").read_bytes()).hexdigest()
    save_file(small, arguments.output, metadata={"model_sha256": digest})
    if arguments.show_tests:
        sets = {"test wishes": tests}
        show("without adapter", encoder, None, skills, sets)
    rounded = {name: jnp.asarray(value.astype(np.float32)) for name, value in small.items()}
    show("with the adapter's file", encoder, rounded, skills, sets)


if __name__ == "__main__":
    main()
