"""Fine-tune a model and take it home; ISTHMUS_BASE_URL and ISTHMUS_API_KEY say where, and with which key."""

from isthmus import Isthmus, StepUpdate

with Isthmus() as client:
    file = client.files.create(file="examples/tickets/train.jsonl")
    job = client.jobs.create(
        model="SmolLM2-135M-Instruct", training_file=file.id, ist={"update_fraction": 0.4}
    )
    for update in job.stream():  # comes back by itself when the connection breaks
        if isinstance(update, StepUpdate):
            print(f"step {update.data.step}: loss {update.data.metrics['loss']}, layers {update.data.active}")
    job.wait(check=True)
    job.download("tuned")
    print(f"{job.fine_tuned_model} is in tuned/adapter")
